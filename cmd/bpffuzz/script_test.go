package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bpffuzz": main, "stubborn": stubborn, "panicking": panicking})
}

// TestScripts runs the scripts in testdata/script, one for each behaviour. In them,
// $OBJECTS has the compiled testdata/objects.c, $EXAMPLES the examples, $EVENTS the
// objects of programs that run by events.
//
// Conditions: [bpf] for the capabilities to load and run programs, [root] for user
// 0, [tmpfs] for mounting file systems in a namespace of one's own, [loop] for
// mounting files. Commands:
// "exits CODE PROGRAM ARGS..." runs a program that has to end with that code;
// "corrupt FILE..." overwrites the middle of files; "bytes N FILE" makes a file of N
// bytes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			objects, err := filepath.Abs("testdata")
			if err != nil {
				return err
			}
			env.Setenv("OBJECTS", objects)
			env.Setenv("EVENTS", filepath.Join(objects, "../../../fuzz/bpf/testdata/trigger"))
			env.Setenv("EXAMPLES", filepath.Join(objects, "../../../examples"))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "bpf":
				return privileged(), nil
			case "root":
				return os.Getuid() == 0, nil
			case "tmpfs":
				return exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt").Run() == nil, nil
			case "loop":
				return exec.Command("sh", "-c", "command -v mkfs.ext4 findmnt && losetup -f").Run() == nil, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "corrupt": corrupt, "bytes": makeBytes,
		},
	})
}

// privileged reports whether programs can be loaded and run: with any of the
// capabilities missing, tests that need the kernel are skipped.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	have := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	for _, c := range []uint{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
		if have&(1<<c) == 0 {
			return false
		}
	}
	return true
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: corrupt FILE...")
	}
	for _, pattern := range args {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("no file is called %s", pattern)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			ts.Check(err)
			copy(b[len(b)/2:], "????")
			ts.Check(os.WriteFile(file, b, 0o600))
		}
	}
}

func makeBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bytes N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), make([]byte, n), 0o600))
}

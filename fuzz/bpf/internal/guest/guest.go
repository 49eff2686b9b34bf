// Package guest runs a program under another kernel, for tests of what the kernel of
// this machine refuses: QEMU boots a kernel image with a file system in memory that
// holds the program and its files. There is no network and no disk.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Options says what runs in a guest.
type Options struct {
	// Kernel is the path of the image to boot.
	Kernel string
	// Program is the path of a statically linked executable. It runs as root in
	// Directory with Args, with the usual file systems of the kernel in place.
	Program string
	Args    []string
	// Files are the files in Directory: where they are on this machine, by their
	// slash-separated names there.
	Files map[string]string
	// MiB is the guest's memory; 0 means 1024.
	MiB int
}

// Result is what a program did in a guest.
type Result struct {
	// Output is what was on the console, the kernel's messages among it.
	Output string
	// Status is the program's exit status.
	Status int
}

// The places of files in the guest, which init knows too.
const (
	Directory = "/work"
	Program   = "/program"
	// Arguments has one argument in a line.
	Arguments = "/arguments"
	// End begins the last line of output; the exit status follows.
	End = "guest-exit-status: "
)

// initPackage is the command that is the guest's first process.
const initPackage = "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/guest/init"

// Build has the go command write a static executable to out: args are its arguments
// without -o, such as "test", "-c" and a package.
func Build(ctx context.Context, out string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", slices.Concat(args[:1], []string{"-o", out}, args[1:])...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building a program for a guest: go %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return nil
}

// Run boots a guest, runs the program in it and waits until the guest is off. A
// status other than 0 is no error. Where the program was not run to its end, because
// ctx ended first or the kernel did not get that far, the error has the end of the
// console's output.
func Run(ctx context.Context, opts Options) (*Result, error) {
	dir, err := os.MkdirTemp("", "bpffuzz-guest-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a guest: %w", err)
	}
	res, err := runIn(ctx, dir, &opts)
	return res, errors.Join(err, os.RemoveAll(dir))
}

func runIn(ctx context.Context, dir string, opts *Options) (*Result, error) {
	first := filepath.Join(dir, "init")
	if err := Build(ctx, first, "build", initPackage); err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "root.cpio")
	if err := writeRoot(root, first, opts); err != nil {
		return nil, fmt.Errorf("writing the file system of a guest: %w", err)
	}
	var out console
	cmd := exec.CommandContext(ctx, Emulator, emulatorArgs(root, opts)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := out.String()
	status, found := exitStatus(text)
	if !found {
		return nil, fmt.Errorf("the guest of kernel %s did not run its program to the end: %w; the console's last lines:\n%s",
			opts.Kernel, errors.Join(err, ctx.Err()), lastLines(text, 40))
	}
	return &Result{Output: text, Status: status}, nil
}

// emulatorArgs leaves the choice of acceleration to what there is. A kernel that
// panics starts again, which ends the emulator.
func emulatorArgs(root string, opts *Options) []string {
	mib := opts.MiB
	if mib == 0 {
		mib = 1024
	}
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-net", "none",
		"-machine", "q35", "-accel", "kvm", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", strconv.Itoa(mib),
		"-kernel", opts.Kernel, "-initrd", root,
		"-append", "console=ttyS0 loglevel=4 panic=-1 rdinit=/init",
	}
}

// writeRoot writes the guest's file system.
func writeRoot(to, first string, opts *Options) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	a := &archive{w: f}
	for _, name := range []string{"dev", "proc", "sys", "tmp"} {
		a.directory(name)
	}
	a.console("dev/console")
	a.file(Arguments[1:], []byte(strings.Join(opts.Args, "\n")))
	files := map[string]string{"init": first, Program[1:]: opts.Program}
	for name, from := range opts.Files {
		files[path.Join(Directory[1:], name)] = from
	}
	return errors.Join(addFiles(a, files), a.end(), f.Close())
}

// addFiles adds files by their names in the guest, and the directories they need.
func addFiles(a *archive, files map[string]string) error {
	dirs := map[string]bool{".": true}
	var add func(dir string)
	add = func(dir string) {
		if !dirs[dir] {
			dirs[dir] = true
			add(path.Dir(dir))
			a.directory(dir)
		}
	}
	add(Directory[1:])
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		add(path.Dir(name))
		a.file(name, content)
	}
	return nil
}

// exitStatus finds the line that init writes in the end.
func exitStatus(output string) (status int, found bool) {
	at := strings.LastIndex(output, "\n"+End)
	if at < 0 {
		return 0, false
	}
	number, _, found := strings.Cut(output[at+1+len(End):], "\n")
	status, err := strconv.Atoi(number)
	return status, found && err == nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// console keeps the end of what a guest writes.
type console struct{ text []byte }

const consoleKept = 1 << 20

var _ io.Writer = (*console)(nil)

func (c *console) Write(p []byte) (int, error) {
	c.text = append(c.text, p...)
	if len(c.text) > 2*consoleKept {
		c.text = append(c.text[:0], c.text[len(c.text)-consoleKept:]...)
	}
	return len(p), nil
}

// String is the text without the carriage returns of a serial line.
func (c *console) String() string { return strings.ReplaceAll(string(c.text), "\r", "") }

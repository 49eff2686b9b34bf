package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// TestSameAsBpftool runs one loaded program with bpftool prog run and with replay, and
// compares return value, packet and context.
func TestSameAsBpftool(t *testing.T) {
	if !privileged() {
		t.Skip("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	bpftool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("bpftool is not installed")
	}
	skb := func(mark, wireLen byte) []byte {
		ctx := make([]byte, 192)
		ctx[8], ctx[160] = mark, wireLen
		return ctx
	}
	xdp := make([]byte, 24)
	xdp[4] = 80 // data_end
	deep := make([]byte, 64)
	deep[20], deep[31], deep[42] = 0xa1, 0xb2, 0xc3
	for _, test := range []struct {
		name, program string
		packet, ctx   []byte
		repeat        int
	}{
		{"tc", "marked", make([]byte, 100), nil, 1},
		{"tc, too short for the program", "marked", make([]byte, 20), nil, 1},
		{"tc with a context", "marked", make([]byte, 100), skb(41, 200), 1},
		{"tc, repeated", "marked", make([]byte, 100), skb(1, 0), 5},
		{"xdp", "counted", make([]byte, 80), nil, 1},
		{"xdp with a context", "counted", make([]byte, 80), xdp, 1},
		{"xdp, no verdict", "counted", deep, nil, 1},
		{"xdp, dropped", "counted", make([]byte, 20), nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			object, err := bpf.Open(filepath.Join("testdata", "loaded.o"))
			if err != nil {
				t.Fatal(err)
			}
			program, err := bpf.LoadPlain(object, bpf.Options{Program: test.program})
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			info, err := program.Describe()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			c := comparison{t: t, dir: dir, id: info.ID, ctx: test.ctx != nil, repeat: test.repeat}
			c.write("packet", test.packet)
			c.write("ctx", test.ctx)
			theirs, ours := c.bpftool(bpftool), c.bpffuzz()
			if theirs.Ret != ours.Ret {
				t.Errorf("bpftool returns %d, replay %d", theirs.Ret, ours.Ret)
			}
			if want, got := c.read("theirs"), c.read("ours"); !bytes.Equal(want, got) {
				t.Errorf("the packet of bpftool is %x, of replay %x", want, got)
			}
			if !c.ctx {
				return
			}
			if want, got := c.read("theirs.ctx"), c.read("ours.ctx"); !bytes.Equal(want, got) {
				t.Errorf("the context of bpftool is %x, of replay %x", want, got)
			}
		})
	}
}

// comparison runs a program twice.
type comparison struct {
	t      *testing.T
	dir    string
	id     uint32
	ctx    bool
	repeat int
}

type compared struct {
	Ret uint32 `json:"retval"`
}

func (c *comparison) path(name string) string { return filepath.Join(c.dir, name) }

func (c *comparison) write(name string, b []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), b, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *comparison) read(name string) []byte {
	c.t.Helper()
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *comparison) bpftool(path string) (r compared) {
	c.t.Helper()
	args := []string{
		"-j", "prog", "run", "id", fmt.Sprint(c.id), "data_in", c.path("packet"), "data_out", c.path("theirs"),
		"repeat", fmt.Sprint(c.repeat),
	}
	if c.ctx {
		args = append(args, "ctx_in", c.path("ctx"), "ctx_out", c.path("theirs.ctx"))
	}
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		c.t.Fatalf("bpftool: %v: %s", err, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		c.t.Fatalf("bpftool wrote %s: %v", out, err)
	}
	return r
}

func (c *comparison) bpffuzz() (r compared) {
	c.t.Helper()
	args := []string{
		"replay", "--json", "--id", fmt.Sprint(c.id), "--data-in", c.path("packet"), "--data-out", c.path("ours"),
		"--repeat", fmt.Sprint(c.repeat),
	}
	if c.ctx {
		args = append(args, "--ctx-in", c.path("ctx"), "--ctx-out", c.path("ours.ctx"))
	}
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != exitClean {
		c.t.Fatalf("replay ends with %d: %s", code, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		c.t.Fatalf("replay wrote %s: %v", &stdout, err)
	}
	return r
}

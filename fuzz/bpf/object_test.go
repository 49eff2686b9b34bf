package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func returning(name string, typ ebpf.ProgramType, section string) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: name, Type: typ, SectionName: section, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2).WithSymbol(name), asm.Return()},
	}
}

func objectOf(programs ...*ebpf.ProgramSpec) *Object {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}, Maps: map[string]*ebpf.MapSpec{}}
	for _, p := range programs {
		spec.Programs[p.Name] = p
	}
	return FromSpec("test.o", spec)
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.o")
	empty := filepath.Join(dir, "empty.o")
	for path, data := range map[string]string{text: "int main", empty: ""} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "none.o"), "no such file"},
		{"directory", dir, "not a regular file"},
		{"text", text, "not an ELF file; give the .o that clang -target bpf made"},
		{"empty", empty, "not an ELF file"},
		{"of the host", host, "reading object"},
	} {
		_, err := Open(tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none.o")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v is not that the file is missing", err)
	}
}

func TestChoose(t *testing.T) {
	xdp, tc := returning("a", ebpf.XDP, "xdp"), returning("b", ebpf.SchedCLS, "tc")
	probe, odd := returning("p", ebpf.Kprobe, "kprobe/f"), returning("q", ebpf.UnspecifiedProgram, "nonsense")
	for _, tt := range []struct {
		name          string
		obj           *Object
		program, want string // want is the program, or part of the error
		fails         bool
	}{
		{"only one", objectOf(xdp), "", "a", false},
		{"only one that can be fuzzed", objectOf(xdp, probe, odd), "", "a", false},
		{"named", objectOf(xdp, tc), "b", "b", false},
		{"several", objectOf(tc, xdp), "", "object test.o has 2 programs, choose one with -p: a, b", true},
		{"unknown", objectOf(xdp, tc), "c", `object test.o has no program "c"; it has a, b`, true},
		{"none that can be fuzzed", objectOf(probe), "", `has no program that can be fuzzed: program "p" has type`, true},
		{"named and cannot be fuzzed", objectOf(xdp, probe), "p", "cannot be", true},
		{"unspecified", objectOf(xdp, odd), "q", `section "nonsense", which says nothing of its type`, true},
	} {
		got, err := tt.obj.choose(tt.program)
		if (err != nil) != tt.fails {
			t.Errorf("%s: %q, error %v", tt.name, got, err)
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A rejection is one line and the log's last lines; the whole log is for %+v.
func TestRejection(t *testing.T) {
	needKernel(t)
	prog := returning("bad", ebpf.XDP, "xdp")
	prog.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("bad")}
	for range 40 {
		prog.Instructions = append(prog.Instructions, asm.Add.Imm(asm.R0, 1))
	}
	prog.Instructions = append(prog.Instructions, asm.LoadMem(asm.R0, asm.R0, 0, asm.Word), asm.Return())
	_, err := NewTarget(objectOf(prog), Options{})
	var rejected *RejectedError
	if !errors.As(err, &rejected) {
		t.Fatalf("error %v", err)
	}
	short, long := strings.Split(err.Error(), "\n"), strings.Split(fmt.Sprintf("%+v", err), "\n")
	if want := `the kernel's verifier rejects program "bad": permission denied`; short[0] != want {
		t.Errorf("first line %q, want %q", short[0], want)
	}
	if len(short) != 1+logTail || len(long) < 40 {
		t.Errorf("%d lines, and %d in full", len(short), len(long))
	}
	if !strings.Contains(err.Error(), "R0 invalid mem access") {
		t.Errorf("the last lines do not say why:\n%v", err)
	}
}

// Objects of others open or give an error in one line.
func TestObjectsOfOthersOpen(t *testing.T) {
	opened := 0
	for _, path := range sampleObjects(t) {
		obj, err := Open(path)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: an error of several lines: %v", filepath.Base(path), err)
			}
			t.Log(err)
			continue
		}
		opened++
		if len(obj.Programs()) == 0 {
			t.Errorf("%s has no programs", path)
		}
	}
	if opened == 0 {
		t.Error("no object opens")
	}
}

// FuzzRead checks that no file makes the reader panic or take memory that the file
// does not account for.
func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("../../examples/*/*.o")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, "testdata/state.o") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := Read("fuzz.o", bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, p := range obj.Programs() {
			if _, err := obj.choose(p.Name); err != nil {
				continue
			}
		}
	})
}

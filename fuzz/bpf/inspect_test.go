package bpf

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// branching is a program with a branch, a loop, a map and a function.
func branching() *ebpf.CollectionSpec {
	insns := asm.Instructions{
		asm.Mov.Imm(asm.R6, 0).WithSymbol("branching"),
		asm.LoadMem(asm.R2, asm.R1, 12, asm.Word), // ingress_ifindex
		asm.LoadMapPtr(asm.R3, 0).WithReference("counts"),
		jumping(asm.JGT.Imm(asm.R2, 100, ""), 3),
		asm.Add.Imm(asm.R6, 1),
		jumping(asm.JLT.Imm(asm.R6, 8, ""), -2),
		asm.Call.Label("helper"),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("helper"),
		asm.Return(),
	}
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"counts": {Name: "counts", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		Programs: map[string]*ebpf.ProgramSpec{
			"branching": {Name: "branching", Type: ebpf.XDP, License: "GPL", SectionName: "xdp", Instructions: insns},
		},
	}
}

func jumping(ins asm.Instruction, offset int16) asm.Instruction {
	ins.Offset = offset
	return ins.WithReference("")
}

func TestSummaries(t *testing.T) {
	got := FromSpec("test", branching()).Summaries()
	if len(got) != 1 {
		t.Fatalf("%d programs", len(got))
	}
	s := got[0]
	if s.Name != "branching" || s.Instructions != 11 || s.Slots != 12 || s.Functions != 2 || s.Edges != 6 || s.Loops != 1 ||
		strings.Join(s.Maps, ",") != "counts" || s.Err != nil || s.Runnable != nil {
		t.Errorf("got %+v", s)
	}
}

func TestCodeOfObject(t *testing.T) {
	code, err := FromSpec("test", branching()).Code("", Setup{})
	if err != nil {
		t.Fatal(err)
	}
	if len(code.Functions) != 2 || code.Functions[0].Name != "branching" || !code.Functions[0].Main || code.Functions[1].Main {
		t.Fatalf("functions %+v", code.Functions)
	}
	if len(code.Raw) != 12*asm.InstructionSize {
		t.Errorf("%d bytes", len(code.Raw))
	}
	f := &code.Functions[0]
	if got := f.Instructions[3]; got.Offset != 4 || got.Text != "if r2 > 0x64 goto pc+3" || got.Target != 8 || len(got.Raw) != 8 {
		t.Errorf("jump %+v", got)
	}
	if got := f.Instructions[2]; got.Text != "r3 = map[counts]" || got.Target != -1 || len(got.Raw) != 16 {
		t.Errorf("load %+v", got)
	}
	if got := f.Instructions[6]; got.Text != "call helper" || !bytes.Equal(got.Raw[4:], []byte{2, 0, 0, 0}) {
		t.Errorf("call %+v", got)
	}
	observed, loops := 0, 0
	for _, e := range f.Flow {
		if e.Back {
			loops++
		}
		if e.Edge < 0 {
			continue
		}
		observed++
		row := code.Table.Edges[e.Edge]
		if row.Func != f.Name || row.Kind != e.Kind || row.To != f.Instructions[f.Blocks[e.To].First].Offset {
			t.Errorf("edge %+v is %+v in the table", e, row)
		}
	}
	if observed != 5 || loops != 1 {
		t.Errorf("%d observed edges, %d loops", observed, loops)
	}
}

func TestCodeOfUnknownProgram(t *testing.T) {
	o := FromSpec("test", branching())
	if _, err := o.Code("other", Setup{}); err == nil || !strings.Contains(err.Error(), "it has branching") {
		t.Errorf("got %v", err)
	}
}

// TestCodeOfRealObjects holds tables against code: each edge is found in the flow.
func TestCodeOfRealObjects(t *testing.T) {
	for _, path := range sampleObjects(t) {
		object, err := Open(path)
		if err != nil {
			continue // among them are objects that do not parse
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, s := range object.Summaries() {
				code, err := object.Code(s.Name, Setup{})
				if (err == nil) != (s.Err == nil) {
					t.Errorf("%s: %v, but %v", s.Name, err, s.Err)
				}
				if err == nil {
					everyEdge(t, code)
				}
			}
		})
	}
}

func everyEdge(t *testing.T, code *Code) {
	t.Helper()
	seen := make([]bool, len(code.Table.Edges))
	for _, f := range code.Functions {
		for _, e := range f.Flow {
			if e.Edge >= 0 {
				seen[e.Edge] = true
			}
			if e.Edge < 0 && !e.Only || e.Kind == cover.Entry && e.Edge < 0 {
				t.Errorf("%s: an edge of %s that should be observed is not: %+v", code.Program, f.Name, e)
			}
		}
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("%s: %s is nowhere in the code", code.Program, code.Table.Edges[i].Label())
		}
	}
}

// loadSample loads the program of branching and returns its id.
func loadSample(t *testing.T) (*ebpf.Program, uint32) {
	t.Helper()
	if missing := kernel.Missing(); len(missing) > 0 {
		t.Skipf("loading programs needs %s", missing[0].Name)
	}
	coll, err := ebpf.NewCollection(branching())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(coll.Close)
	prog := coll.Programs["branching"]
	info, err := kernel.ReadProgramInfo(prog.FD())
	if err != nil {
		t.Fatal(err)
	}
	return prog, info.ID
}

func TestLoadedPrograms(t *testing.T) {
	prog, id := loadSample(t)
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		t.Fatal(err)
	}
	list, err := LoadedPrograms(Selector{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	p := list[0]
	if p.ID != id || p.Type != "xdp" || p.Name != "branching" || !p.GPL || len(p.MapIDs) != 1 || p.Xlated == 0 || p.Memlock == 0 {
		t.Errorf("got %+v", p)
	}
	if len(p.Users) != 1 || p.Users[0].PID != os.Getpid() {
		t.Errorf("users %+v, this is %d", p.Users, os.Getpid())
	}
	for name, s := range map[string]Selector{"tag": {Tag: p.Tag}, "name": {Name: "branching"}, "both": {Tag: strings.ToUpper(p.Tag), Name: "branching"}} {
		if found, err := LoadedPrograms(s); err != nil || !has(found, id) {
			t.Errorf("by %s: %+v, %v", name, found, err)
		}
	}
	if all, err := LoadedPrograms(Selector{}); err != nil || !has(all, id) {
		t.Errorf("all: %v", err)
	}
}

func has(list []LoadedProgram, id uint32) bool {
	for _, p := range list {
		if p.ID == id {
			return true
		}
	}
	return false
}

func TestNoSuchProgram(t *testing.T) {
	_, id := loadSample(t)
	const tag = "0123456789abcdef"
	for _, tc := range []struct {
		name string
		s    Selector
		want string
	}{
		{"id", Selector{ID: 1<<31 - 1}, "no program with id 2147483647 is loaded"},
		{"tag", Selector{Tag: tag}, "no program with tag 0123456789abcdef is loaded"},
		{"name", Selector{Name: "no-such-name"}, "no program with name no-such-name is loaded"},
		{"id and name", Selector{ID: id, Name: "other"}, "name other is loaded"},
		{"bad tag", Selector{Tag: "xyz"}, "a tag has 16 hexadecimal digits"},
		{"no file", Selector{Pinned: "/nowhere"}, "stat /nowhere"},
		{"no pin", Selector{Pinned: "/dev/null"}, "/dev/null"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := LoadedPrograms(tc.s); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLoadedCode(t *testing.T) {
	_, id := loadSample(t)
	code, err := LoadedCode(id)
	if err != nil {
		t.Fatal(err)
	}
	if len(code.Functions) != 2 || len(code.Functions[0].Blocks) == 0 || code.Table != nil || len(code.Notes) != 1 {
		t.Fatalf("%d functions, notes %q", len(code.Functions), code.Notes)
	}
	var text []string
	size := 0
	for _, f := range code.Functions {
		for _, ins := range f.Instructions {
			text = append(text, ins.Text)
			size += len(ins.Raw)
		}
	}
	if all := strings.Join(text, "\n"); !strings.Contains(all, "map[counts]") || !strings.Contains(all, "call func_1") {
		t.Errorf("no map or function in\n%s", all)
	}
	if size != len(code.Raw) {
		t.Errorf("instructions have %d bytes, the program %d", size, len(code.Raw))
	}
}

// TestAgainstBpftool compares with what bpftool says of the same program.
func TestAgainstBpftool(t *testing.T) {
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("bpftool is not here")
	}
	_, id := loadSample(t)
	number := strconv.Itoa(int(id))
	file := filepath.Join(t.TempDir(), "xlated")
	if out, err := exec.Command(tool, "prog", "dump", "xlated", "id", number, "file", file).CombinedOutput(); err != nil {
		t.Skipf("bpftool does not dump: %v: %s", err, out)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code, err := LoadedCode(id)
	if err != nil || !bytes.Equal(code.Raw, want) {
		t.Fatalf("bpftool has other instructions (%v)", err)
	}
	text, err := exec.Command(tool, "prog", "dump", "xlated", "id", number).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, ins := range code.Functions[0].Instructions {
		// Ours have names of maps and functions, theirs also numbers.
		if !strings.Contains(ins.Text, "map[") && !strings.Contains(ins.Text, "call ") && !strings.Contains(string(text), ") "+ins.Text+"\n") {
			t.Errorf("bpftool has no %q in\n%s", ins.Text, text)
		}
	}
	out, err := exec.Command(tool, "--json", "prog", "show", "id", number).Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Type, Name, Tag string
		Xlated          uint32 `json:"bytes_xlated"`
		Jited           uint32 `json:"bytes_jited"`
		Memlock         uint64 `json:"bytes_memlock"`
		GPL             bool   `json:"gpl_compatible"`
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	list, err := LoadedPrograms(Selector{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	p := list[0]
	if p.Type != theirs.Type || p.Name != theirs.Name || p.Tag != theirs.Tag || p.Xlated != theirs.Xlated || p.Jited != theirs.Jited ||
		p.Memlock != theirs.Memlock || p.GPL != theirs.GPL {
		t.Errorf("bpftool says %+v, we %+v", theirs, p)
	}
}

func TestLoadedMachineCode(t *testing.T) {
	_, id := loadSample(t)
	code, err := LoadedMachineCode(id)
	if errors.Is(err, ErrInterpreted) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, f := range code.Functions {
		n := 0
		for _, ins := range f.Instructions {
			if ins.Offset != n {
				t.Errorf("an instruction at %d, want %d", ins.Offset, n)
			}
			n += len(ins.Raw)
		}
		if n != f.Size || f.Address == 0 {
			t.Errorf("function at %#x: %d bytes of %d", f.Address, n, f.Size)
		}
		size += n
	}
	if len(code.Functions) != 2 || size != len(code.Raw) {
		t.Errorf("%d functions with %d of %d bytes", len(code.Functions), size, len(code.Raw))
	}
	if _, err := LoadedMachineCode(1<<31 - 1); err == nil {
		t.Error("there is machine code of no program")
	}
}

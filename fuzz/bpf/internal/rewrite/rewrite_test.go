package rewrite

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// objects are those of the examples, by name.
func objects(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{"../../../../examples/*/*.o", "../../../../examples/puzzles/*/*.o", "../../testdata/types/*.o"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b)); err == nil { // else nobody is to run it
				all[filepath.Base(path)] = b
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d objects", len(all))
	}
	return all
}

func load(t *testing.T, b []byte) *ebpf.CollectionSpec {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func none(Call) asm.Instructions { return nil }

// doubled makes each call three instructions that are easy to know again.
func doubled(c Call) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, 77), asm.Mov.Reg(asm.R0, asm.R0), c.Helper.Call()}
}

// TestNothingReplaced sees to it that an object is put together as it was taken apart.
func TestNothingReplaced(t *testing.T) {
	for name, b := range objects(t) {
		t.Run(name, func(t *testing.T) {
			again, err := Calls(b, none, nil)
			if err != nil {
				t.Fatal(err)
			}
			sameCode(t, load(t, b), load(t, again))
		})
	}
}

// TestEverythingMoves puts instructions in front of each call of a helper, takes them away
// from what a loader reads, and compares that with the original: instructions, targets of
// jumps and calls, lines and maps.
func TestEverythingMoves(t *testing.T) {
	for name, b := range objects(t) {
		t.Run(name, func(t *testing.T) {
			moved, err := Calls(b, doubled, nil)
			if err != nil {
				t.Fatal(err)
			}
			spec := load(t, moved)
			for _, p := range spec.Programs {
				p.Instructions = without(p.Instructions)
			}
			sameCode(t, load(t, b), spec)
		})
	}
}

// without takes out what doubled put in. Jumps are by symbol where the loader resolved
// them, and distances are taken back here.
func without(list asm.Instructions) asm.Instructions {
	to := []int{0}
	var kept asm.Instructions
	var from []int // slot of each that is kept
	at, n := 0, 0
	skip := 0
	for i := range list {
		in := list[i]
		if skip == 0 && i+2 < len(list) && in.OpCode == asm.Mov.Imm(asm.R0, 0).OpCode && in.Constant == 77 && list[i+2].IsBuiltinCall() {
			skip = 2
			list[i+2].Metadata = in.Metadata
		}
		width := int(in.Width())
		if skip > 0 {
			skip--
			width = 0
		} else {
			kept, from = append(kept, in), append(from, at)
		}
		for range int(in.Width()) {
			at++
			n += min(width, 1)
			to = append(to, n)
		}
	}
	for i := range kept {
		in := &kept[i]
		if !in.OpCode.Class().IsJump() || in.IsBuiltinCall() || in.OpCode.JumpOp() == asm.Exit || in.OpCode.JumpOp() == asm.Call || in.Reference() != "" {
			continue
		}
		here := from[i]
		in.Offset = int16(to[here+1+int(in.Offset)] - to[here] - 1)
	}
	return kept
}

func sameCode(t *testing.T, want, got *ebpf.CollectionSpec) {
	t.Helper()
	if len(want.Programs) != len(got.Programs) || len(want.Maps) != len(got.Maps) {
		t.Fatalf("%d programs and %d maps, want %d and %d", len(got.Programs), len(got.Maps), len(want.Programs), len(want.Maps))
	}
	for name, w := range want.Programs {
		g := got.Programs[name]
		if g == nil || len(g.Instructions) != len(w.Instructions) || g.SectionName != w.SectionName {
			t.Errorf("program %s: %v", name, g)
			continue
		}
		for i := range w.Instructions {
			a, b := &w.Instructions[i], &g.Instructions[i]
			if a.OpCode != b.OpCode || a.Dst != b.Dst || a.Src != b.Src || a.Offset != b.Offset || a.Constant != b.Constant || a.Reference() != b.Reference() || a.Symbol() != b.Symbol() {
				t.Errorf("program %s, instruction %d: %v, want %v", name, i, b, a)
				break
			}
			if line(a) != line(b) {
				t.Errorf("program %s, instruction %d: line %q, want %q", name, i, line(b), line(a))
				break
			}
		}
	}
}

func line(in *asm.Instruction) string {
	l, _ := in.Source().(*btf.Line)
	if l == nil {
		return ""
	}
	return l.String()
}

// TestVirtualHelpers sees to it that loaders find the data, and that no call is left.
func TestVirtualHelpers(t *testing.T) {
	chance := instrument.Chance{Map: ".data.chance", Clock: ".data.clock", CPUs: 2}
	data := []Data{{".data.chance", make([]byte, instrument.ChanceSize)}, {".data.clock", instrument.Clock()}}
	for name, b := range objects(t) {
		t.Run(name, func(t *testing.T) {
			again, err := Calls(b, func(c Call) asm.Instructions { return chance.Answer(c.Helper) }, data)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := elf.NewFile(bytes.NewReader(again)); err != nil {
				t.Error(err)
			}
			uses := false
			for _, p := range load(t, b).Programs {
				for i := range p.Instructions {
					in := &p.Instructions[i]
					uses = uses || in.IsBuiltinCall() && instrument.IsVirtual(asm.BuiltinFunc(in.Constant))
				}
			}
			spec := load(t, again)
			for _, p := range spec.Programs {
				for i := range p.Instructions {
					if in := &p.Instructions[i]; in.IsBuiltinCall() && instrument.IsVirtual(asm.BuiltinFunc(in.Constant)) {
						t.Errorf("program %s still has %v", p.Name, in)
					}
				}
			}
			if m := spec.Maps[".data.chance"]; uses && (m == nil || m.ValueSize != instrument.ChanceSize) {
				t.Errorf("map of bytes: %v", m)
			}
		})
	}
}

// TestMalformedObjects cuts and changes an object everywhere: an error or another object,
// and no panic.
func TestMalformedObjects(t *testing.T) {
	b := objects(t)["timeout.o"]
	if b == nil {
		t.Fatal("no timeout.o")
	}
	for n := 0; n < len(b); n += 37 {
		_, _ = Calls(b[:n], doubled, nil)
	}
	for at := range b {
		for _, v := range []byte{0, 0x7f, 0xff} {
			bad := bytes.Clone(b)
			bad[at] = v
			_, _ = Calls(bad, doubled, nil)
		}
	}
	huge := bytes.Clone(b)
	shoff := binary.LittleEndian.Uint64(huge[0x28:])
	binary.LittleEndian.PutUint64(huge[shoff+64+48:], 1<<60) // alignment of the first section
	if _, err := Calls(huge, doubled, nil); err == nil {
		t.Error("an alignment of 2^60 bytes is accepted")
	}
	if _, err := Calls([]byte("\x7fELF"), doubled, nil); err == nil {
		t.Error("four bytes are accepted")
	}
}

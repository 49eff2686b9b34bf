package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/disasm"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// Code is the bytecode of a program, taken apart for people. It is immutable and
// safe for concurrent use.
type Code struct {
	// Program is the name of the entry program.
	Program string
	// Functions are those of the entry program, then those of programs that it
	// tail-calls.
	Functions []CodeFunction
	// Table has the edges that are observed, nil for code that was read back from
	// the kernel.
	Table *cover.Table
	// Raw are the instructions of the entry program as the kernel takes them, or gives
	// them back. In those of an object, references to maps are 0.
	Raw []byte
	// Notes say what could not be found out, a line each.
	Notes []string
}

// CodeFunction is a function of a program.
type CodeFunction struct {
	// Name is the function's, with a number where there are several of that name, as
	// the edges have it.
	Name string
	// Main is true when a program begins with the function.
	Main         bool
	Instructions []Instruction
	// Blocks are in the order of the code, the first is the entry. There are none where
	// the code could not be taken apart; a note says why.
	Blocks []CodeBlock
	// Flow has every edge, the entry first.
	Flow []FlowEdge
}

// Instruction is an instruction of a function.
type Instruction struct {
	// Offset is in 8-byte slots from the start of the function.
	Offset int
	// Raw has 8 bytes, or 16. It is nil for what the library cannot write.
	Raw []byte
	// Text is as the verifier and bpftool write it.
	Text string
	// Target is the offset that the instruction jumps to, -1 for none.
	Target int
	// Pos and Source are where the instruction comes from, set where a line begins.
	Pos    cover.Pos
	Source string
}

// CodeBlock is a basic block: instructions [First, End) of its function.
type CodeBlock struct {
	First, End int
	// Reachable is false for blocks that no path from the entry leads to.
	Reachable bool
	// Leaves is true when the program, or the function, may end inside the block.
	Leaves bool
}

// FlowEdge is a way from block to block.
type FlowEdge struct {
	// From and To are indices of blocks. From is -1 for the entry.
	From, To int
	Kind     cover.Kind
	// Only is true when the source has no other way out, Back when the edge closes a
	// loop.
	Only, Back bool
	// Edge is the edge's index in the table, -1 for those that are not observed: the
	// only way out of a block.
	Edge int
}

// newCode takes programs apart, the entry program first. Raw is the entry program's
// code as the kernel gave it back, nil for programs of an object: only these can be
// instrumented, so that their edges have probes.
func newCode(programs []instrument.Program, raw []byte) (*Code, error) {
	code := &Code{Program: programs[0].Name}
	images := make([][]byte, len(programs))
	for i, p := range programs {
		if images[i] = raw; raw != nil {
			continue
		}
		var err error
		if images[i], err = marshal(p.Instructions); err != nil {
			code.Notes = append(code.Notes, fmt.Sprintf("the bytes of program %q cannot be written: %v", p.Name, err))
		}
	}
	code.Raw = images[0]
	plan, err := instrument.Analyze(programs, instrument.Options{})
	if err != nil {
		if raw == nil {
			return nil, err
		}
		code.Notes = append(code.Notes, fmt.Sprintf("no blocks and edges: %v", err))
		code.Functions = flat(programs[0].Instructions, raw)
		return code, nil
	}
	edges := map[flowKey]int{}
	if raw == nil {
		code.Table = plan.Table(instrument.Full)
		for i, e := range code.Table.Edges {
			edges[flowKey{e.Func, e.From, e.To, e.Kind}] = i
		}
	}
	for _, f := range plan.Functions() {
		code.Functions = append(code.Functions, newCodeFunction(&f, edges, imageOf(&f, programs, images)))
	}
	return code, nil
}

// imageOf returns the bytes of a function, nil where they are not known.
func imageOf(f *instrument.Function, programs []instrument.Program, images [][]byte) []byte {
	for i, p := range programs {
		if f.First < len(p.Instructions) && &p.Instructions[f.First] == &f.Insns[0] {
			return behind(images[i], slotsOf(p.Instructions[:f.First]))
		}
	}
	return nil
}

// behind returns what lies behind a number of slots, nil when the image is shorter.
func behind(image []byte, slots int) []byte {
	return image[min(slots*asm.InstructionSize, len(image)):]
}

// slotsOf returns the size of instructions in units of 8 bytes.
func slotsOf(insns asm.Instructions) int {
	n := 0
	for i := range insns {
		n += int(insns[i].Width())
	}
	return n
}

// flowKey finds an edge of the table.
type flowKey struct {
	fn       string
	from, to int
	kind     cover.Kind
}

func newCodeFunction(f *instrument.Function, edges map[flowKey]int, image []byte) CodeFunction {
	fn := CodeFunction{Name: f.Label, Main: f.Main, Instructions: instructions(f.Insns, image)}
	for i, target := range f.Targets {
		if target >= 0 {
			fn.Instructions[i].Target = f.Offsets[target]
		}
	}
	for i := range f.Blocks {
		b := &f.Blocks[i]
		fn.Blocks = append(fn.Blocks, CodeBlock{First: b.First, End: b.End, Reachable: b.Reachable, Leaves: f.Leaves(i)})
	}
	for _, e := range f.Edges() {
		fn.Flow = append(fn.Flow, newFlowEdge(f, e, edges))
	}
	return fn
}

func newFlowEdge(f *instrument.Function, e cfg.Edge, edges map[flowKey]int) FlowEdge {
	flow := FlowEdge{From: -1, To: f.BlockOf[e.To], Kind: cover.Entry, Only: !e.TwoWay, Back: e.Back, Edge: -1}
	key := flowKey{fn: f.Label, from: -1, to: f.Offsets[e.To]}
	if e.From >= 0 {
		flow.From, key.from = f.BlockOf[e.From], f.Offsets[e.From]
		if flow.Kind = cover.FallThrough; e.Taken {
			flow.Kind = cover.Taken
		}
	}
	key.kind = flow.Kind
	if i, ok := edges[key]; ok {
		flow.Edge = i
	}
	return flow
}

// flat lists the functions of code that cannot be taken apart.
func flat(insns asm.Instructions, image []byte) []CodeFunction {
	var list []CodeFunction
	for first := 0; first < len(insns); {
		end := first + 1
		for end < len(insns) && insns[end].Symbol() == "" {
			end++
		}
		list = append(list, CodeFunction{
			Name: insns[first].Symbol(), Main: first == 0,
			Instructions: instructions(insns[first:end], behind(image, slotsOf(insns[:first]))),
		})
		first = end
	}
	return list
}

func instructions(insns asm.Instructions, image []byte) []Instruction {
	list := make([]Instruction, len(insns))
	offset := 0
	for i := range insns {
		ins := &insns[i]
		list[i] = Instruction{Offset: offset, Text: disasm.Text(ins), Target: -1}
		if line, ok := ins.Source().(*btf.Line); ok && line != nil {
			list[i].Pos = cover.Pos{File: line.FileName(), Line: int(line.LineNumber()), Column: int(line.LineColumn())}
			list[i].Source = line.Line()
		}
		offset += int(ins.Width())
		if end := offset * asm.InstructionSize; end <= len(image) {
			list[i].Raw = image[list[i].Offset*asm.InstructionSize : end]
		}
	}
	return list
}

// marshal returns instructions as the kernel takes them, references to maps as 0.
func marshal(insns asm.Instructions) ([]byte, error) {
	copied := make(asm.Instructions, len(insns))
	for i := range insns {
		copied[i] = insns[i]
		if copied[i].IsLoadFromMap() && copied[i].Reference() != "" {
			copied[i] = copied[i].WithReference("")
			copied[i].Constant &^= 1<<32 - 1
		}
	}
	var order binary.ByteOrder = binary.LittleEndian // the library does not take NativeEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	var b bytes.Buffer
	if err := copied.Marshal(&b, order); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// gateMap is the map that says on which thread a program that is attached runs.
const gateMap = "bpffuzz_gate"

const gateSize = 8

func newGateMap() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: gateMap, Type: ebpf.Array, KeySize: 4, ValueSize: gateSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE}
}

// threadGate lets a program run on one thread, and there only while it is open.
// What is attached is entered on every thread: without a gate the runs of other
// workers, and those of the same worker's other instance, would be among its own.
// The nil gate is of programs that are not attached, which need none.
type threadGate struct {
	mem    []byte
	thread uint32
}

// mapGate makes the gate of a program that has gate's instructions in front, for
// the calling thread. It is shut.
func (i *instance) mapGate() error {
	mem, err := kernel.MapMemory(i.coll.Maps[gateMap].FD(), gateSize)
	if err != nil {
		return err
	}
	i.also(func() error { return kernel.Unmap(mem) })
	i.gate = &threadGate{mem: mem, thread: uint32(unix.Gettid())}
	return nil
}

func (g *threadGate) open() { g.set(true) }

func (g *threadGate) shut() { g.set(false) }

func (g *threadGate) set(open bool) {
	if g == nil {
		return
	}
	var thread uint32 // 0 is no thread's number
	if open {
		thread = g.thread
	}
	binary.NativeEndian.PutUint32(g.mem, thread)
}

// gate puts instructions in front of a program that let only the thread pass whose
// number is in the gate's map. R6 is free: nothing is in it where a program begins.
func gate(code asm.Instructions) asm.Instructions {
	pass := asm.JEq.Reg32(asm.R0, asm.R2, "")
	pass.Offset = 2
	symbol, fn, source := code[0].Symbol(), btf.FuncMetadata(&code[0]), code[0].Source()
	first := code[0].WithSymbol("")
	if fn != nil {
		first = btf.WithFuncMetadata(first, nil)
	}
	head := asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Reg(asm.R6, asm.R1).WithSource(source), fn).WithSymbol(symbol),
		asm.FnGetCurrentPidTgid.Call(),
		asm.LoadMapValue(asm.R1, 0, 0).WithReference(gateMap),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		pass.WithReference(""),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R6),
		first,
	}
	return append(head, code[1:]...)
}

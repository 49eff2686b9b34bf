package bpf

import (
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// watching is an object whose program watches a BTF tracepoint, and stores one of its
// arguments in its map.
func watching(tracepoint string, argument int) *Object {
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, int16(wordSize*argument), asm.DWord),
		asm.LoadMapValue(asm.R1, 0, 0).WithReference("seen"),
		asm.StoreMem(asm.R1, 0, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	return FromSpec(tracepoint, &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"seen": {Name: "seen", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		Programs: map[string]*ebpf.ProgramSpec{"watch": {
			Name: "watch", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint, License: "GPL", Instructions: code,
		}},
	})
}

// Every tracepoint in the list is passed and seen by the program.
func TestCauses(t *testing.T) {
	needKernel(t)
	for _, name := range slices.Sorted(maps.Keys(causes())) {
		t.Run(name, func(t *testing.T) {
			target, err := NewTarget(watching(name, 0), Options{})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			shape := target.Shape()
			onExecutor(t, target, func(e *executor) {
				if said := e.Describe(); strings.Contains(said, "BPF_PROG_RUN") {
					t.Errorf("%q is not how it runs", said)
				}
				seen := 0 // not every connection sends, and not every frame is dropped
				for i, in := range causeInputs(shape) {
					out, err := e.Alone(t.Context(), in, 0)
					if err != nil {
						t.Fatal(err)
					}
					if errno := out.Steps[0].Errno; errno != 0 {
						t.Errorf("input %d: %v", i, errno)
					}
					seen += target.Table().Count(out.Cover)
				}
				if seen == 0 {
					t.Error("the program did not run")
				}
			})
		})
	}
}

// causeInputs are seeds, and where there are none the least that there is.
func causeInputs(shape *corpus.Shape) []*corpus.Input {
	inputs := mutate.Seeds(shape)
	if len(inputs) == 0 || shape.Packet.Max > 0 && shape.Payload {
		context := make([]byte, shape.ContextSize)
		for _, f := range shape.Context {
			putInteger(context[f.Offset:f.Offset+f.Size], f.Min, f.Big)
		}
		inputs = append(inputs, &corpus.Input{Steps: []corpus.Step{{Context: context, Packet: []byte("hello")}}})
	}
	return inputs[:min(len(inputs), 8)]
}

// What an input chooses is what the program sees.
func TestCausesCarryTheInput(t *testing.T) {
	needKernel(t)
	for _, tt := range []struct {
		tracepoint string
		argument   int
		set        map[string]uint64
		packet     []byte
		want       uint64
	}{
		{tracepoint: "sys_enter", argument: 1, set: map[string]uint64{"id": 0}, want: 39},
		{tracepoint: "task_newtask", argument: 1, set: map[string]uint64{"flags": 0x400}, want: 0x400},
		{tracepoint: "signal_generate", argument: 0, set: map[string]uint64{"sig": 41}, want: 41},
		{tracepoint: "sock_send_length", argument: 1, packet: []byte("seven b"), want: 7},
		{tracepoint: "net_dev_xmit", argument: 3, packet: make([]byte, 333), want: 333},
	} {
		t.Run(tt.tracepoint, func(t *testing.T) {
			target, err := NewTarget(watching(tt.tracepoint, tt.argument), Options{})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			in := &corpus.Input{Steps: []corpus.Step{{Context: contextWith(t, target.Shape(), tt.set), Packet: tt.packet}}}
			onExecutor(t, target, func(e *executor) {
				out, err := e.Alone(t.Context(), in, wantAll)
				if err != nil {
					t.Fatal(err)
				}
				value, _, err := out.Maps.Lookup(nil, "seen", make([]byte, 4))
				if err != nil {
					t.Fatal(err)
				}
				if got := binary.NativeEndian.Uint64(value); got != tt.want {
					t.Errorf("argument %d is %d, want %d", tt.argument, got, tt.want)
				}
			})
		})
	}
}

// The list of what can be caused is in the error for what cannot.
func TestCausesAreListed(t *testing.T) {
	_, err := NewTarget(watching("block_rq_issue", 0), Options{})
	if err == nil {
		t.Fatal("a disk's event is caused")
	}
	for name := range causes() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// What other threads do is not among a worker's events.
func TestCausesOfOthersAreDropped(t *testing.T) {
	needKernel(t)
	target, err := NewTarget(watching("task_rename", 0), Options{})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	onExecutor(t, target, func(e *executor) {
		e.hot.gate.open()
		defer e.hot.gate.shut()
		others := make(chan struct{})
		go func() {
			defer close(others)
			runtime.LockOSThread() // for good, so that the name goes with the thread
			for range 100 {
				rename([]byte("somebody else\x00\x00\x00"))
			}
		}()
		<-others
		if n := target.Table().Count(e.Cover()); n != 0 {
			t.Errorf("%d edges are covered by the events of another thread", n)
		}
		rename([]byte("the worker\x00\x00\x00\x00\x00\x00"))
		if target.Table().Count(e.Cover()) == 0 {
			t.Error("the worker's own event does not count")
		}
	})
}

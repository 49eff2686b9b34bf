package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// open makes an executor on the calling goroutine, which is isolated already.
func open(t testing.TB, target *Target) *executor {
	t.Helper()
	e, err := newExecutor(target, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

const wantAll = corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveMaps | corpus.HaveCover

func alone(t testing.TB, e *executor, in *corpus.Input) *corpus.Outcome {
	t.Helper()
	out, err := e.Alone(t.Context(), in, wantAll)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Steps {
		if errno := out.Steps[i].Errno; errno != 0 {
			t.Errorf("step %d: %v", i, errno)
		}
	}
	return out
}

// run fills the batch with inputs and runs it.
func run(t testing.TB, e *executor, inputs ...*corpus.Input) {
	t.Helper()
	batch := e.Batch()
	batch.Reset()
	for _, src := range inputs {
		in := batch.Next()
		if in == nil {
			t.Fatal("the batch is full")
		}
		in.CopyFrom(src)
		batch.Commit()
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// frame returns a packet of n bytes that the echo programs answer with ret.
func frame(n int, ret byte) []byte {
	packet := make([]byte, n)
	packet[5] = ret
	return packet
}

// describeStep shows of a step's outcome what the echo programs tell.
func describeStep(o *corpus.StepOutcome) string {
	if o.Errno != 0 {
		return o.Errno.Error()
	}
	return fmt.Sprintf("ret %d len %d says %d", o.Ret, len(o.Packet), o.Packet[:5])
}

func xdpContextOf(ifindex uint32) []byte {
	ctx := make([]byte, xdpSize)
	binary.NativeEndian.PutUint32(ctx[12:], ifindex)
	return ctx
}

// skbContextOf sets 32-bit fields of an __sk_buff by offset.
func skbContextOf(fields map[int]uint32) []byte {
	ctx := make([]byte, skbSize)
	for off, v := range fields {
		binary.NativeEndian.PutUint32(ctx[off:], v)
	}
	return ctx
}

func steps(list ...corpus.Step) *corpus.Input { return &corpus.Input{Steps: list} }

// Offsets in struct __sk_buff.
const (
	skbMark    = 8
	skbVLANTCI = 24
	skbCB1     = 52
)

// Steps of an input share state, inputs do not, and whatever the kernel answers is
// recorded where it belongs.
func TestRunRecords(t *testing.T) {
	ip4 := frame(20, 2)
	ip4[12], ip4[13] = 8, 0
	tests := []struct {
		program string
		inputs  []*corpus.Input
		want    []string
	}{
		{"echo", []*corpus.Input{
			steps(corpus.Step{Packet: frame(64, 2)}, corpus.Step{Packet: frame(14, 1)}, corpus.Step{Packet: frame(65, 7)}),
			steps(corpus.Step{Packet: frame(64, 3)}),
			steps(corpus.Step{Packet: frame(60, 2), Meta: []byte{9, 8, 7, 6, 5, 4, 3, 2}}),
			steps(corpus.Step{Packet: frame(60, 2), Context: xdpContextOf(1)}),
			steps(corpus.Step{Packet: frame(13, 2)}, corpus.Step{Packet: frame(100, 2)}),
			steps(corpus.Step{Packet: frame(60, 2), Meta: []byte{1}}),
			steps(corpus.Step{Packet: frame(3520, 2)}, corpus.Step{}),
		}, []string{
			"ret 2 len 64 says [0 64 0 1 0]", "ret 1 len 14 says [1 14 0 1 0]", "ret 7 len 65 says [2 65 0 1 0]",
			"ret 3 len 64 says [0 64 0 1 0]",
			"ret 2 len 68 says [9 8 7 6 5]",
			"ret 2 len 60 says [0 60 0 1 0]",
			"invalid argument", "ret 2 len 50 says [0 100 0 1 0]",
			"invalid argument",
			"ret 2 len 3520 says [0 192 0 1 0]", "invalid argument",
		}},
		{"tcecho", []*corpus.Input{
			steps(corpus.Step{Packet: frame(64, 2)}, corpus.Step{Packet: frame(14, 1)}),
			steps(corpus.Step{Packet: frame(64, 0), Context: skbContextOf(map[int]uint32{skbMark: 7, skbCB1: 3})}),
			steps(corpus.Step{Packet: frame(64, 0)}),
			steps(corpus.Step{Packet: ip4}),
			steps(corpus.Step{Packet: frame(64, 0), Context: skbContextOf(map[int]uint32{skbVLANTCI: 1})}),
			steps(corpus.Step{Packet: frame(100, 2)}),
		}, []string{
			"ret 2 len 64 says [0 64 0 0 0]", "ret 1 len 14 says [1 14 0 0 0]",
			"ret 0 len 64 says [0 64 7 3 0]",
			"ret 0 len 64 says [0 64 0 0 0]",
			"invalid argument",
			"ret 0 len 64 says [0 64 0 0 0]", // the context is made legal
			"ret 2 len 50 says [0 100 0 0 0]",
		}},
	}
	for _, tt := range tests {
		target := newState(t, tt.program, Setup{})
		isolated(t, func() {
			e := open(t, target)
			run(t, e, tt.inputs...)
			var got []string
			for i := range e.Batch().Outcomes() {
				got = append(got, describeStep(&e.Batch().Outcomes()[i]))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: got\n%q\nwant\n%q", tt.program, got, tt.want)
			}
			checkAlone(t, e, tt.inputs, got)
		})
	}
}

// checkAlone checks that inputs of the last batch give the same alone, in any
// order, and between them the coverage of the batch.
func checkAlone(t *testing.T, e *executor, inputs []*corpus.Input, want []string) {
	t.Helper()
	all, together := make([]byte, len(e.Cover())), bytes.Clone(e.Cover())
	end := len(want)
	for _, in := range slices.Backward(inputs) {
		out, err := e.Alone(t.Context(), in, wantAll)
		if err != nil {
			t.Error(err)
			continue
		}
		for i, b := range out.Cover {
			all[i] |= b
		}
		end -= len(in.Steps)
		for i := range out.Steps {
			if got := describeStep(&out.Steps[i]); got != want[end+i] {
				t.Errorf("alone %s, in a batch %s", got, want[end+i])
			}
		}
	}
	if !bytes.Equal(all, together) {
		t.Errorf("coverage is %x alone, %x in a batch", all, together)
	}
}

func TestAloneRecordsTheContext(t *testing.T) {
	target := newState(t, "tcecho", Setup{})
	isolated(t, func() {
		e := open(t, target)
		out := alone(t, e, steps(
			corpus.Step{Packet: frame(64, 0), Context: skbContextOf(map[int]uint32{skbMark: 7})},
			corpus.Step{Packet: frame(64, 0)},
		))
		for i, want := range []uint32{12, 5} {
			if got := binary.NativeEndian.Uint32(out.Steps[i].Context[skbMark:]); got != want {
				t.Errorf("step %d leaves mark %d, want %d", i, got, want)
			}
		}
		if got, ok, err := out.Maps.Lookup(nil, ".bss", native(uint32(0))); err != nil || !ok || got[0] != 2 {
			t.Errorf("the view of .bss is %v, %t, %v: the counter should be 2", got, ok, err)
		}
		if _, _, err := out.Maps.Lookup(nil, "nothing", nil); err == nil {
			t.Error("an unknown map can be read")
		}
		if _, _, err := out.Maps.Lookup(nil, ".bss", []byte{1}); err == nil {
			t.Error("a key of the wrong size is accepted")
		}
	})
}

// A trace begins where the kernel enters the program, and has the edges that the
// coverage has.
func TestTrace(t *testing.T) {
	target := newState(t, "plain", Setup{})
	isolated(t, func() {
		e := open(t, target)
		var ends []int
		for _, packet := range [][]byte{
			append(make([]byte, 12), 8, 0), append(make([]byte, 12), 0x86, 0xdd), make([]byte, 14),
		} {
			out, err := e.Alone(t.Context(), steps(corpus.Step{Packet: packet}), corpus.HaveTrace|corpus.HaveCover)
			if err != nil {
				t.Fatal(err)
			}
			if out.Have&corpus.HaveTrace == 0 || len(out.Trace) < 3 {
				t.Fatalf("trace %v", out.Trace)
			}
			edges := target.Table().Edges
			if first := edges[out.Trace[0]]; first.Kind != cover.Entry {
				t.Errorf("the trace begins with %s", first.Label())
			}
			covered := target.Table().Expand(nil, out.Cover)
			for _, i := range out.Trace {
				if !covered[i] {
					t.Errorf("edge %s is in the trace, but not covered", edges[i].Label())
				}
			}
			ends = append(ends, out.Trace[len(out.Trace)-1])
		}
		if ends[0] == ends[1] || ends[1] == ends[2] {
			t.Errorf("paths that differ end with edges %v", ends)
		}
	})
}

func TestRecreate(t *testing.T) {
	target := newState(t, "echo", Setup{})
	isolated(t, func() {
		e := open(t, target)
		in := steps(corpus.Step{Packet: frame(64, 2)})
		if _, err := e.Alone(t.Context(), in, corpus.HaveTrace); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := e.Recreate(t.Context()); err != nil {
				t.Fatal(err)
			}
			out, err := e.Alone(t.Context(), in, wantAll|corpus.HaveTrace)
			if err != nil {
				t.Fatal(err)
			}
			if got := describeStep(&out.Steps[0]); got != "ret 2 len 64 says [0 64 0 1 0]" || len(out.Trace) == 0 {
				t.Errorf("%s, trace %v", got, out.Trace)
			}
		}
	})
}

// Executors do not share state: each counts its own packets.
func TestExecutorsAtOnce(t *testing.T) {
	target := newState(t, "echo", Setup{})
	in := steps(corpus.Step{Packet: frame(64, 2)}, corpus.Step{Packet: frame(64, 2)}, corpus.Step{Packet: frame(64, 2)})
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			isolated(t, func() {
				e := open(t, target)
				for range 100 {
					run(t, e, in, in, in)
					for i, o := range e.Batch().Outcomes() {
						if o.Errno != 0 || int(o.Packet[0]) != i%3 {
							t.Errorf("step %d: %s", i, describeStep(&o))
						}
					}
				}
			})
		})
	}
	both.Wait()
}

// The hot loop does not allocate, whatever the program does with maps.
func TestRunDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct {
		program string
		inputs  []*corpus.Input
	}{
		{"plain", []*corpus.Input{steps(corpus.Step{Packet: frame(64, 0)}), steps(corpus.Step{Packet: frame(64, 0), Meta: make([]byte, 8)})}},
		{"tcplain", []*corpus.Input{steps(corpus.Step{Packet: frame(64, 0)}), steps(corpus.Step{Packet: frame(64, 0), Context: skbContextOf(nil)})}},
		{"state", touching()},
		{"tcstate", touching()},
	} {
		target := newState(t, tt.program, stateSetup())
		isolated(t, func() {
			e := open(t, target)
			run(t, e, tt.inputs...)
			for i, o := range e.Batch().Outcomes() {
				if o.Errno != 0 {
					t.Errorf("%s: step %d: %v", tt.program, i, o.Errno)
				}
			}
			n := testing.AllocsPerRun(20, func() {
				if err := e.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
			if n != 0 {
				t.Errorf("%s: a batch allocates %v times", tt.program, n)
			}
		})
	}
}

// touching returns inputs that change maps of all kinds, by key and as a whole.
func touching() []*corpus.Input {
	var list []*corpus.Input
	for m := range byte(9) {
		list = append(list, requests(request{m, opUpdate, 3, 16, 9, 7}), requests(request{m, opDelete, 32, 16, 3, 7}))
	}
	for m := byte(20); m < 30; m++ {
		list = append(list, requests(request{Map: m, Key: 3, Value: 9}))
	}
	return list
}

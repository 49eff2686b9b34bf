package instrument_test

import (
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// TestTailCallTargetsShareTheMap runs a program that tail-calls another: edges of
// both are in one map value, and what follows the tail call is not taken for hit.
func TestTailCallTargetsShareTheMap(t *testing.T) {
	needKernel(t)
	spec, err := ebpf.LoadCollectionSpec("testdata/programs.o")
	if err != nil {
		t.Fatal(err)
	}
	one, target := alone(spec, "tails"), alone(spec, "globals")
	opts := options(spec)
	plan, err := instrument.Analyze([]instrument.Program{program(one), program(target)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	code, err := plan.Rewrite(instrument.Full, instrument.Cover, coverMap)
	if err != nil {
		t.Fatal(err)
	}
	layout, table := plan.Layout(instrument.Full, instrument.Cover), plan.Table(instrument.Full)
	one.Programs["tails"].Instructions = code[0]
	one.Programs["globals"] = target.Programs["globals"]
	one.Programs["globals"].Instructions = code[1]
	for name, m := range target.Maps {
		one.Maps[name] = m
	}
	one.Maps[coverMap] = &ebpf.MapSpec{
		Name: coverMap, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(layout.Size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}
	c, err := load(one)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Maps["jumps"].Put(uint32(1), c.Programs["globals"]); err != nil {
		t.Fatal(err)
	}
	s := &subject{Collection: c, name: "tails", table: table, layout: layout}
	for first, want := range map[byte]struct {
		ret   string
		funcs map[string]bool
	}{
		0: {"3", map[string]bool{"tails": true, "onward": true}},
		1: {"2", map[string]bool{"tails": true, "onward": true, "globals": true}},
		3: {"1", map[string]bool{"tails": true, "onward": true}},
	} {
		packet := make([]byte, 64)
		packet[0], packet[3] = first, 200
		ret := s.run(t, packet)
		hit := map[string]bool{}
		for i, yes := range table.Expand(nil, s.value) {
			if yes {
				hit[table.Edges[i].Func] = true
			}
		}
		if ret[:1] != want.ret {
			t.Errorf("first byte %d: result %.8s, want %s", first, ret, want.ret)
		}
		for _, fn := range []string{"tails", "onward", "globals"} {
			if hit[fn] != want.funcs[fn] {
				t.Errorf("first byte %d: edges of %s hit: %v, want %v", first, fn, hit[fn], want.funcs[fn])
			}
		}
	}
}

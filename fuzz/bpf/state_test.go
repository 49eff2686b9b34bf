package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// needKernel skips a test where BPF programs cannot be loaded.
func needKernel(t testing.TB) {
	t.Helper()
	if missing := kernel.Missing(); len(missing) > 0 {
		t.Skipf("needs %s", missing[0].Name)
	}
}

// isolated runs do as a worker does, on a thread and in a network namespace of its
// own. It returns also when do ends the goroutine with t.Fatal.
func isolated(t testing.TB, do func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer close(done)
		if err := kernel.Isolate(0); err != nil {
			done <- err
			return
		}
		do()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// stateSetup gives the maps of testdata/state.c contents to return to.
func stateSetup() Setup {
	value := func(n int) map[string]any { return map[string]any{"n": n, "last": n + 1} }
	entries := func(keys ...int) []MapItem {
		var list []MapItem
		for _, k := range keys {
			list = append(list, MapItem{Key: k, Value: value(100 + k)})
		}
		return list
	}
	return Setup{Maps: MapContents{
		"array":        entries(3, 255),
		"percpu_array": entries(3),
		"hash":         entries(3, 4, 5),
		"percpu_hash":  entries(3, 4),
		"lru_hash":     entries(3, 4),
		"lpm_trie": {
			{Key: "10.0.0.0/8", Value: value(8)},
			{Key: "10.1.0.0/16", Value: value(16)},
		},
		"full_hash":    entries(3, 4, 5, 6),
		"dynamic_hash": entries(3, 4, 5, 6),
		"full_lru":     entries(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
		"queue":        {{Value: 11}, {Value: 12}},
		"stack":        {{Value: 11}, {Value: 12}},
		"inner1":       {{Key: 2, Value: 22}},
	}}
}

// newState makes a target of a program of testdata/state.o.
func newState(t testing.TB, program string, setup Setup) *Target {
	t.Helper()
	needKernel(t)
	obj, err := Open("testdata/state.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program, Setup: setup, MaxSteps: 4})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	if target.Rung() != "full" {
		t.Fatalf("instrumented %s", target.Rung())
	}
	return target
}

// Operations of testdata/state.c.
const (
	opUpdate = iota
	opDelete
	opWrite
	opAdd
)

// request is what a packet asks the state program to do.
type request struct {
	Map, Op, Count, Len byte
	Key, Value          uint32
}

// step returns a packet with the request.
func (r request) step() corpus.Step {
	packet := make([]byte, 64)
	packet = append(packet[:14], r.Map, r.Op, r.Count, r.Len)
	packet = binary.NativeEndian.AppendUint32(packet, r.Key)
	packet = binary.NativeEndian.AppendUint32(packet, r.Value)
	return corpus.Step{Packet: packet[:64]}
}

func requests(rs ...request) *corpus.Input {
	in := &corpus.Input{}
	for _, r := range rs {
		in.Steps = append(in.Steps, r.step())
	}
	return in
}

// contents reads all maps of an instance with the library, whatever the restorers
// believe. Queues and stacks are read by taking them apart, so they are put back.
func contents(t testing.TB, inst *instance) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, m := range inst.coll.Maps {
		switch m.Type() {
		case ebpf.Queue, ebpf.Stack:
			all[name] = queued(t, m)
		case ebpf.RingBuf:
			all[name] = fmt.Sprint(inst.state.maps[name].(ring).Pending())
		case ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.BloomFilter, ebpf.ProgramArray:
		default:
			if name != coverMap && name != batchMap {
				read(t, all, name, m)
			}
		}
	}
	return all
}

func read(t testing.TB, all map[string]string, name string, m *ebpf.Map) {
	t.Helper()
	var key []byte
	it := m.Iterate()
	if m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.PerCPUArray {
		var values [][]byte
		for it.Next(&key, &values) {
			all[fmt.Sprintf("%s[%x]", name, key)] = fmt.Sprintf("%x", values)
		}
	} else {
		var value []byte
		for it.Next(&key, &value) {
			all[fmt.Sprintf("%s[%x]", name, key)] = fmt.Sprintf("%x", value)
		}
	}
	if err := it.Err(); err != nil {
		t.Errorf("reading %s: %v", name, err)
	}
}

func queued(t testing.TB, m *ebpf.Map) string {
	t.Helper()
	var values []uint32
	var v uint32
	for m.LookupAndDelete(nil, &v) == nil {
		values = append(values, v)
	}
	for i := range values {
		if m.Type() == ebpf.Stack {
			i = len(values) - 1 - i
		}
		if err := m.Put(nil, values[i]); err != nil {
			t.Error(err)
		}
	}
	return fmt.Sprint(values)
}

// changes lists how two readings differ.
func changes(before, after map[string]string) []string {
	var list []string
	for k, v := range after {
		if old, ok := before[k]; !ok {
			list = append(list, fmt.Sprintf("%s came with %s", k, v))
		} else if old != v {
			list = append(list, fmt.Sprintf("%s was %s and is %s", k, old, v))
		}
	}
	for k := range maps.Keys(before) {
		if _, ok := after[k]; !ok {
			list = append(list, k+" is gone")
		}
	}
	return list
}

package bpf

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// The kernel has, after loading, what a target file says.
func TestSetupInTheKernel(t *testing.T) {
	file, err := ParseTargetFile("t.yaml", []byte(`
maps:
  vips: [{key: {addr: 10.9.8.7, port: 4433}, value: 31337}]
  hits: [{key: 1, value: 7}]
  routes: [{key: 10.0.0.0/8, value: 5}]
  ports: [{key: 3, value: 1}]
  cpus: [{key: 0, value: 192}]
  todo: [{value: 9}]
  jmp: [{key: 1, value: callee}]
tail_calls: {jmp: {2: entry}}
`))
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Skip(err)
	}
	setup := file.Setup()
	if err := setup.apply(spec, cpus); err != nil {
		t.Fatal(err)
	}
	coll := loadTestSpec(t, spec)

	n := func(v uint32) []byte { return native(v) }
	for _, tt := range []struct {
		name      string
		key, want []byte
	}{
		{"vips", []byte{10, 9, 8, 7, 0x11, 0x51, 0, 0}, n(31337)},
		{"routes", append(n(32), 10, 1, 2, 3), n(5)},
		{"ports", n(3), append(n(1), n(0)...)},
		{"cpus", n(0), n(192)},
	} {
		got, err := coll.Maps[tt.name].LookupBytes(tt.key)
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s has %x, %v; want %x", tt.name, got, err, tt.want)
		}
	}
	var hits []uint64
	if err := coll.Maps["hits"].Lookup(uint32(1), &hits); err != nil || len(hits) != cpus || hits[cpus-1] != 7 {
		t.Errorf("hits has %v, %v", hits, err)
	}
	var todo uint32
	if err := coll.Maps["todo"].LookupAndDelete(nil, &todo); err != nil || todo != 9 {
		t.Errorf("todo has %d, %v", todo, err)
	}
	var id uint32
	for _, index := range []uint32{0, 1, 2} {
		if err := coll.Maps["jmp"].Lookup(index, &id); err != nil {
			t.Errorf("jmp[%d]: %v", index, err)
		}
	}
}

// loadTestSpec loads the maps of testSpec and its XDP programs, reduced to a
// reference to the prog array. Hand-made types stay out of the kernel.
func loadTestSpec(t *testing.T, spec *ebpf.CollectionSpec) *ebpf.Collection {
	t.Helper()
	for _, m := range spec.Maps {
		m.Key, m.Value = nil, nil
	}
	for _, name := range []string{"inner", ".rodata", ".bss"} {
		delete(spec.Maps, name)
	}
	for _, name := range []string{"tc", "probe"} {
		delete(spec.Programs, name)
	}
	for name, p := range spec.Programs {
		p.Instructions = asm.Instructions{asm.LoadMapPtr(asm.R2, 0).WithReference("jmp").WithSymbol(name), asm.Mov.Imm(asm.R0, 2), asm.Return()}
	}
	spec.Variables = nil
	coll, err := ebpf.NewCollection(spec)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("no right to load maps: %v", err)
	}
	if err != nil {
		t.Fatalf("load: %+v", err)
	}
	t.Cleanup(coll.Close)
	return coll
}

func TestSetupErrors(t *testing.T) {
	for _, s := range []Setup{
		{Variables: map[string]any{"x": 1}},
		{TailCalls: map[string]map[uint32]string{"x": {0: "entry"}}},
		{Maps: MapContents{"x": {{Key: 1, Value: 1}}}},
	} {
		if err := s.apply(testSpec(), 1); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	if err := new(Setup).apply(testSpec(), 1); err != nil {
		t.Error(err)
	}
}

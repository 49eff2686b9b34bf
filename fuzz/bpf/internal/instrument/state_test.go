package instrument_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

func native(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// ranges gives options the variables of the object.
func ranges(spec *ebpf.CollectionSpec) func(string, uint32) (uint32, uint32) {
	return func(name string, off uint32) (uint32, uint32) {
		for _, v := range spec.Variables {
			if v.SectionName == name && off >= v.Offset && off < v.Offset+uint32(len(v.Value)) {
				return v.Offset, v.Offset + uint32(len(v.Value))
			}
		}
		return 0, 0
	}
}

// entries reads a whole map.
func entries(t *testing.T, m *ebpf.Map) map[string]string {
	t.Helper()
	all := map[string]string{}
	if m.Type() == ebpf.Queue {
		// What is in a queue cannot be read without taking it out.
		return all
	}
	var key, value []byte
	it := m.Iterate()
	for it.Next(&key, &value) {
		all[string(key)] = string(value)
	}
	if err := it.Err(); err != nil {
		t.Fatalf("%s: %v", m, err)
	}
	return all
}

// logged reports whether the sites say that the entry with this key, or the byte
// at this offset of its value, may have changed.
func (s *subject) logged(name string, key string, at int) bool {
	for i := range s.layout.Sites {
		site := &s.layout.Sites[i]
		if site.Off < 0 || (site.Map != name && site.Map != "") {
			continue
		}
		n := native(s.value[site.Off:])
		switch {
		case n == 0:
		case site.Kind == instrument.Whole, site.Kind == instrument.Range && at >= int(site.Lo) && at < int(site.Hi):
			return true
		case site.Kind == instrument.Keys && n > instrument.Ring:
			return true
		case site.Kind == instrument.Keys:
			for k := range int(n) {
				if string(s.value[site.KeyAt(k):][:site.KeySize]) == key {
					return true
				}
			}
		}
	}
	return false
}

// TestSitesTellWhatChanged compares all maps before and after each packet: what
// changed must have been logged.
func TestSitesTellWhatChanged(t *testing.T) {
	needKernel(t)
	spec, err := ebpf.LoadCollectionSpec("testdata/programs.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "packetkey", "globals", "calls"} {
		for _, rung := range []instrument.Rung{instrument.Full, instrument.Marks, instrument.Half} {
			t.Run(name+"/"+rung.String(), func(t *testing.T) {
				one := alone(spec, name)
				opts := options(one)
				opts.Range = ranges(spec)
				tellsWhatChanged(t, newSubject(t, one, opts, rung, instrument.Cover))
			})
		}
	}
}

func tellsWhatChanged(t *testing.T, s *subject) {
	before := map[string]map[string]string{}
	for name, m := range s.Maps {
		before[name] = entries(t, m)
	}
	changes, silent := 0, 0
	for _, packet := range packets(seeded(3), 400) {
		s.run(t, packet)
		changed := false
		for name, m := range s.Maps {
			if name == coverMap {
				continue
			}
			after := entries(t, m)
			for key := range union(before[name], after) {
				old, ok := before[name][key]
				now, still := after[key]
				if old == now && ok == still {
					continue
				}
				changed = true
				changes++
				for _, at := range differences(old, now) {
					if !s.logged(name, key, at) {
						t.Fatalf("packet %x: map %s, key %x, byte %d has changed and no site says so", packet, name, key, at)
					}
				}
			}
			before[name] = after
		}
		if !changed {
			silent++
		}
	}
	if changes == 0 {
		t.Error("no packet changed any map")
	}
	t.Logf("%d changes, %d packets without any, %d sites", changes, silent, len(s.layout.Sites))
}

func union(a, b map[string]string) map[string]bool {
	all := map[string]bool{}
	for key := range a {
		all[key] = true
	}
	for key := range b {
		all[key] = true
	}
	return all
}

// differences returns where two values differ; 0 when one of them is missing.
func differences(a, b string) []int {
	if len(a) != len(b) {
		return []int{0}
	}
	var at []int
	for i := range a {
		if a[i] != b[i] {
			at = append(at, i)
		}
	}
	return at
}

func TestSites(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("testdata/programs.o")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		mapName  string
		kind     instrument.SiteKind
		readOnly bool
		helper   string
	}
	for name, want := range map[string][]row{
		"state": {
			{"flows", instrument.Keys, false, "FnMapLookupElem"},
			{"flows", instrument.Keys, false, "FnMapDeleteElem"},
			{"flows", instrument.Keys, false, "FnMapUpdateElem"},
			{"settings", instrument.Keys, true, "FnMapLookupElem"},
			{"table", instrument.Keys, false, "FnMapLookupElem"},
			{"wides", instrument.Keys, false, "FnMapUpdateElem"},
		},
		"globals": {
			{".bss", instrument.Range, false, ""},
			{".bss", instrument.Range, false, ""},
			{".data", instrument.Range, true, ""},
		},
		"parse": {},
	} {
		one := alone(spec, name)
		opts := options(one)
		opts.Range = ranges(spec)
		plan, err := instrument.Analyze([]instrument.Program{program(one)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		var got []row
		for _, s := range plan.Layout(instrument.Full, instrument.Cover).Sites {
			got = append(got, row{s.Map, s.Kind, s.ReadOnly, s.Helper})
		}
		for _, r := range want {
			if i := indexOf(got, r); i >= 0 {
				got = append(got[:i], got[i+1:]...)
			} else {
				t.Errorf("%s: no site %+v", name, r)
			}
		}
		for _, r := range got {
			t.Errorf("%s: unexpected site %+v", name, r)
		}
	}
}

func indexOf[T comparable](list []T, v T) int {
	for i := range list {
		if list[i] == v {
			return i
		}
	}
	return -1
}

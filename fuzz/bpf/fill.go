package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// getsFull reports whether a map of that type refuses entries when it has as many as it
// takes.
func getsFull(t ebpf.MapType) bool {
	return t == ebpf.Hash || t == ebpf.PerCPUHash || t == ebpf.LPMTrie
}

// fill appends how full maps are that get full, after a run and before they are put back.
func (s *mapState) fill(dst []corpus.MapFill, shape *corpus.Shape) ([]corpus.MapFill, error) {
	for i := range shape.Maps {
		m := &shape.Maps[i]
		e, ok := s.maps[m.Name].(*entries)
		if m.MaxEntries == 0 || !ok {
			continue
		}
		brought := s.brought(e, m.Name)
		f := corpus.MapFill{Map: m.Name, Start: len(e.initial) + len(brought), Max: m.MaxEntries}
		var err error
		if f.Entries, err = s.count(e, f.Start, brought); err != nil {
			return dst, err
		}
		dst = append(dst, f)
	}
	return dst, nil
}

// brought returns which entries the input brings to a map besides the initial ones.
func (s *mapState) brought(e *entries, name string) map[string]bool {
	var brought map[string]bool
	for i := range s.entries {
		if s.entries[i].Map != name {
			continue
		}
		id := string(e.identity(s.entries[i].Key))
		if _, initial := e.initial[id]; initial {
			continue
		}
		if brought == nil {
			brought = map[string]bool{}
		}
		brought[id] = true
	}
	return brought
}

// count returns how many entries a map has that had start: by the keys that the run used
// where all of them are known, else by listing them.
func (s *mapState) count(e *entries, start int, brought map[string]bool) (int, error) {
	used, all := s.used(e)
	if !all {
		n := 0
		err := e.each(func([]byte) error { n++; return nil })
		return n, err
	}
	n := start
	for id, key := range used {
		_, was := e.initial[id]
		was = was || brought[id]
		errno := e.fast.Lookup(key, e.value)
		switch {
		case errno != 0 && errno != unix.ENOENT:
			return 0, errRestore(e.name, "counting the entries", errno)
		case errno == 0 && !was:
			n++
		case errno != 0 && was:
			n--
		}
	}
	return n, nil
}

// used returns the keys with which a run used a map, by identity; all is false where
// there may be others.
func (s *mapState) used(e *entries) (keys map[string][]byte, all bool) {
	keys = map[string][]byte{}
	for _, r := range s.always {
		if r == restorer(e) {
			return nil, false
		}
	}
	for i := range s.sites {
		at := &s.sites[i]
		count := int(binary.NativeEndian.Uint32(s.mem[at.Off:]))
		if count == 0 || at.restorer != nil && at.restorer != restorer(e) {
			continue
		}
		if at.restorer == nil || at.Kind != instrument.Keys || count > at.Ring {
			return nil, false
		}
		for n := range count {
			key := s.mem[at.KeyAt(n):][:at.KeySize]
			keys[string(e.identity(key))] = key
		}
	}
	return keys, true
}

package corpus

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// MapFuzz says which initial entries of a map an input may bring.
type MapFuzz struct {
	// Entries bounds how many entries of the map one input has; at least 1.
	Entries int
	// Key and Value are what an input may choose, within Min, Max and, where a field
	// is Closed, Values. Bytes that belong to no field are zero.
	Key, Value []Field
}

// Fuzzed returns what inputs may bring into the map of that name, nil for nothing.
func (s *Shape) Fuzzed(name string) *MapFuzz {
	for i := range s.Maps {
		if s.Maps[i].Name == name {
			return s.Maps[i].Fuzz
		}
	}
	return nil
}

// CheckEntries returns an error that names the first map entry of in that breaks a
// rule of the shape, or nil.
func (s *Shape) CheckEntries(in *Input) error {
	for i := range in.Maps {
		err := s.checkEntry(&in.Maps[i])
		if err == nil {
			err = s.checkCount(in.Maps[:i+1])
		}
		if err != nil {
			return fmt.Errorf("map entry %d: %w", i, err)
		}
	}
	return nil
}

// checkCount counts the entries of the last one's map.
func (s *Shape) checkCount(entries []MapEntry) error {
	name := entries[len(entries)-1].Map
	f := s.Fuzzed(name)
	if f == nil {
		return nil
	}
	n := 0
	for i := range entries {
		if entries[i].Map == name {
			n++
		}
	}
	if n > f.Entries {
		return fmt.Errorf("map %q may have %d, raise its entries under fuzz_maps", name, f.Entries)
	}
	return nil
}

// check returns an error where key or value are not what an input may choose.
func (f *MapFuzz) check(name string, key, value []byte) error {
	if err := checkFields(f.Key, key); err != nil {
		return fmt.Errorf("map %q key: %w", name, err)
	}
	if err := checkFields(f.Value, value); err != nil {
		return fmt.Errorf("map %q value: %w", name, err)
	}
	return nil
}

func checkFields(fields []Field, b []byte) error {
	for i := range fields {
		f := &fields[i]
		if f.Offset < 0 || f.Offset+f.Size > len(b) {
			return fmt.Errorf("%s lies outside of %d bytes", f.Name, len(b))
		}
		if v := f.Load(b); v != f.Nearest(v) {
			return fmt.Errorf("%s is %d, outside of what fuzz_maps declares", f.Name, v)
		}
	}
	return nil
}

// Limits returns the smallest and the largest legal value.
func (f *Field) Limits() (lo, hi uint64) {
	widest := ^uint64(0) >> (64 - 8*uint(f.Size))
	if f.Max == 0 {
		return f.Min, widest
	}
	return f.Min, min(f.Max, widest)
}

// Nearest returns the legal value next to v: v itself where it is legal.
func (f *Field) Nearest(v uint64) uint64 {
	lo, hi := f.Limits()
	v = max(lo, min(v, hi))
	if !f.Closed || len(f.Values) == 0 || slices.Contains(f.Values, v) {
		return v
	}
	best := f.Values[0]
	for _, w := range f.Values[1:] {
		if max(w, v)-min(w, v) < max(best, v)-min(best, v) {
			best = w
		}
	}
	return best
}

// Load reads the field from b, which has to reach to its end.
func (f *Field) Load(b []byte) uint64 {
	p := b[f.Offset : f.Offset+f.Size]
	switch {
	case f.Size == 1:
		return uint64(p[0])
	case f.Size == 2:
		return uint64(f.order().Uint16(p))
	case f.Size == 4:
		return uint64(f.order().Uint32(p))
	}
	return f.order().Uint64(p)
}

func (f *Field) order() binary.ByteOrder {
	if f.Big || binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// change is a field of a packet with another value than before.
type change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// compare lists what is different in two packets that start with Ethernet headers.
// Where they do not have the same headers, it returns the headers of both.
func compare(before, after []byte) (changes []change, layers [2]string, same bool) {
	var a, b packet.Layout
	a.Parse(before, packet.Ethernet)
	b.Parse(after, packet.Ethernet)
	layers = [2]string{stack(&a), stack(&b)}
	if layers[0] != layers[1] {
		return []change{}, layers, false
	}
	changes = []change{}
	for i := range a.N {
		name := a.Headers[i].Layer.String()
		if nth := occurrence(&a, i); nth > 0 {
			name = fmt.Sprintf("%s[%d]", name, nth)
		}
		changes = append(changes, compareHeader(name, a.Headers[i].Layer, a.Bytes(before, i), b.Bytes(after, i))...)
	}
	return changes, layers, true
}

// stack reads "ethernet / ipv4 / tcp".
func stack(l *packet.Layout) string {
	names := make([]string, 0, l.N)
	for _, h := range l.Headers[:l.N] {
		names = append(names, h.Layer.String())
	}
	return strings.Join(names, " / ")
}

// occurrence counts the headers of the same layer in front of header i.
func occurrence(l *packet.Layout, i int) int {
	n := 0
	for _, h := range l.Headers[:i] {
		if h.Layer == l.Headers[i].Layer {
			n++
		}
	}
	return n
}

func compareHeader(name string, layer packet.Layer, before, after []byte) []change {
	if bytes.Equal(before, after) {
		return nil
	}
	var changes []change
	for _, f := range packet.Fields(layer) {
		x, inBefore := f.Get(before)
		y, inAfter := f.Get(after)
		if inBefore && inAfter && x != y {
			changes = append(changes, change{name + "." + f.Name, fieldText(&f, x), fieldText(&f, y)})
		}
	}
	switch {
	case len(before) != len(after):
		changes = append(changes, change{name + " length", fmt.Sprint(len(before)), fmt.Sprint(len(after))})
	case len(changes) == 0:
		changes = append(changes, change{name + " bytes", fmt.Sprintf("%x", before), fmt.Sprintf("%x", after)})
	}
	return changes
}

func fieldText(f *packet.Field, v uint64) string {
	switch {
	case f.Kind == packet.Address && f.Bits == 32:
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
	case f.Kind == packet.Address, f.Kind == packet.Check:
		return fmt.Sprintf("0x%0*x", f.Bits/4, v)
	}
	return fmt.Sprint(v)
}

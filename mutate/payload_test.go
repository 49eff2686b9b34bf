package mutate

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Payloads are not taken for packets: seeds have no headers, and no operator looks
// for any.
func TestPayloadsHaveNoHeaders(t *testing.T) {
	shape := &corpus.Shape{Type: "sk_msg", Packet: corpus.Bounds{Min: 1, Max: 512}, Payload: true, Dictionary: [][]byte{[]byte("magic")}}
	m := New(shape, Options{Seed: 1})
	for _, op := range m.ops {
		if op.needs&needHeaders != 0 {
			t.Errorf("operator %s wants headers", op.name)
		}
	}
	seeds := Seeds(shape)
	hasWord := false
	for _, in := range seeds {
		p := in.Steps[0].Packet
		if err := shape.Check(in); err != nil {
			t.Error(err)
		}
		if l := m.parse(&in.Steps[0]); l.N != 1 || l.Headers[0].Layer != packet.Payload {
			t.Errorf("seed %x is read as %d headers", p, l.N)
		}
		hasWord = hasWord || len(p) > 5 && string(p[:5]) == "magic"
	}
	if !hasWord {
		t.Error("no seed begins with the dictionary's word")
	}
}

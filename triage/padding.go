package triage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

const (
	// padding is how many bytes are put behind a packet that has none.
	padding = 8
	// Padding consists of zeros in one of two runs, and of ones in the other. There every
	// second byte lacks its lowest bit: 16 bits of ones are a zero in an Internet checksum.
	nearlyOnes = 0xfe
)

// newPadding compares two runs of an input with other bytes behind its IP packets: they
// pad a frame, and nothing should follow from them.
func newPadding(shape *corpus.Shape) Relation {
	lives := newSurvival(shape)
	return Relation{
		Name: "past-total-length", Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Pair: func(a, b, src *corpus.Input) bool {
			return pad(a, src, shape.Packet.Max, false) && pad(b, src, shape.Packet.Max, true)
		},
		Judge: func(a, b *corpus.Outcome) error {
			for i := range min(len(a.Steps), len(b.Steps)) {
				if lives.gone(&a.Steps[i], &b.Steps[i]) {
					continue
				}
				if err := samePadded(shape, &a.Steps[i], &b.Steps[i]); err != nil {
					return fmt.Errorf("step %d, first with zeros behind the IP packet, then with others: %w", i, err)
				}
			}
			return nil
		},
	}
}

// pad makes of src an input whose packets have ones behind those of IP, or zeros; ok is
// false where no step has such a packet.
func pad(dst, src *corpus.Input, largest int, ones bool) (ok bool) {
	*dst = *src.Clone()
	for i := range dst.Steps {
		s := &dst.Steps[i]
		end := totalEnd(s.Packet)
		if end < 0 || end+padding > largest {
			continue
		}
		if end == len(s.Packet) {
			s.Packet = append(s.Packet, make([]byte, padding)...)
		}
		clear(s.Packet[end:])
		for k := len(s.Packet) - 1; ones && k >= end; k-- {
			s.Packet[k] = nearlyOnes | byte(len(s.Packet)-k)&1
		}
		ok = true
	}
	return ok
}

// totalEnd returns where the outermost IP packet ends by its own word; -1 where there is
// none, or where lengths of headers are wrong or hard to tell.
func totalEnd(b []byte) int {
	if fit(b) != right {
		return -1
	}
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	for i, h := range l.Headers[:l.N] {
		switch p := l.Bytes(b, i); h.Layer {
		case packet.IPv4:
			return h.Off + int(binary.BigEndian.Uint16(p[2:]))
		case packet.IPv6:
			return h.Off + 40 + int(binary.BigEndian.Uint16(p[4:]))
		}
	}
	return -1
}

// samePadded is sameStep for packets that may differ in one run of padding.
func samePadded(shape *corpus.Shape, a, b *corpus.StepOutcome) error {
	if a.Errno != 0 || b.Errno != 0 || len(a.Packet) != len(b.Packet) {
		return sameStep(shape, a, b)
	}
	other := *b
	other.Packet = bytes.Clone(b.Packet)
	i := len(other.Packet)
	for i > 0 && other.Packet[i-1] == a.Packet[i-1] {
		i--
	}
	for i > 0 && a.Packet[i-1] == 0 && other.Packet[i-1] >= nearlyOnes {
		i--
		other.Packet[i] = 0
	}
	return sameStep(shape, a, &other)
}

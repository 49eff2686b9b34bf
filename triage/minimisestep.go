package triage

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// resetStep sets all of a step but its packet to its default, or nearer to it.
func (m *minimiser) resetStep(i int) {
	for _, change := range []func(*corpus.Step){
		func(s *corpus.Step) { s.Meta, s.Context, s.Chance, s.CPU, s.Flags, s.Fault = nil, nil, nil, 0, 0, 0 },
		func(s *corpus.Step) { s.Meta = nil },
		func(s *corpus.Step) { s.Context = nil },
		func(s *corpus.Step) { s.Chance = nil },
		func(s *corpus.Step) { s.CPU = 0 },
		func(s *corpus.Step) { s.Flags = 0 },
		func(s *corpus.Step) { s.Fault = 0 },
	} {
		m.try(func(in *corpus.Input) { change(&in.Steps[i]) })
	}
	chunks(len(m.best.Steps[i].Meta)/4, 1, func(from, to int) bool { // always a multiple of 4
		return m.try(func(in *corpus.Input) { in.Steps[i].Meta = cut(in.Steps[i].Meta, 4*from, 4*to) })
	})
	chunks(len(m.best.Steps[i].Chance), 1, func(from, to int) bool {
		return m.try(func(in *corpus.Input) { in.Steps[i].Chance = cut(in.Steps[i].Chance, from, to) })
	})
	m.zeroString(func(in *corpus.Input) []byte { return in.Steps[i].Meta })
	m.zeroString(func(in *corpus.Input) []byte { return in.Steps[i].Context })
	m.zeroString(func(in *corpus.Input) []byte { return in.Steps[i].Chance })
}

// shrinkPacket makes the packet of a step shorter: by layers, by options, by what
// is at its end, by pieces from anywhere behind the headers, by bytes of these.
func (m *minimiser) shrinkPacket(i int) {
	m.dropLayers(i)
	m.dropOptions(i)
	chunks(len(m.best.Steps[i].Packet), 1, func(from, to int) bool {
		p := m.best.Steps[i].Packet
		return to == len(p) && m.tryPacket(i, func(b []byte) []byte { return b[:from] })
	})
	payload := payloadStart(m.best.Steps[i].Packet)
	chunks(len(m.best.Steps[i].Packet)-payload, 1, func(from, to int) bool {
		return m.tryPacket(i, func(b []byte) []byte { return cut(b, payload+from, payload+to) })
	})
	m.dropBytes(i)
}

// dropBytes takes single bytes out of headers, the last ones first: to some programs
// they are none.
func (m *minimiser) dropBytes(i int) {
	for at := payloadStart(m.best.Steps[i].Packet) - 1; at >= 0 && m.err == nil; at-- {
		m.tryPacket(i, func(b []byte) []byte {
			if at >= len(b) {
				return b
			}
			return cut(b, at, at+1)
		})
	}
}

// dropLayers takes headers away, alone and as a run: a tunnel is several. The
// header in front then says what follows.
func (m *minimiser) dropLayers(i int) {
	var l packet.Layout
	l.Parse(m.best.Steps[i].Packet, packet.Ethernet)
	for n := l.N; n > 0; n-- {
		for first := 0; first+n <= l.N; first++ {
			if m.tryPacket(i, func(b []byte) []byte { return withoutLayers(&l, b, first, n) }) {
				l.Parse(m.best.Steps[i].Packet, packet.Ethernet)
			}
		}
	}
}

func withoutLayers(l *packet.Layout, b []byte, first, n int) []byte {
	from, to := l.Headers[first].Off, l.Headers[first+n-1].End()
	if first > 0 && first+n < l.N {
		parent := l.Headers[first-1]
		packet.SetNext(l.Bytes(b, first-1), parent.Layer, l.Headers[first+n].Layer)
	}
	return cut(b, from, to)
}

// dropOptions takes away what is behind the fixed part of IPv4 and TCP headers.
func (m *minimiser) dropOptions(i int) {
	var l packet.Layout
	l.Parse(m.best.Steps[i].Packet, packet.Ethernet)
	for k := l.N - 1; k >= 0; k-- {
		h := l.Headers[k]
		size := packet.FieldByName(h.Layer, "ihl")
		if h.Layer == packet.TCP {
			size = packet.FieldByName(h.Layer, "doff")
		}
		fixed := h.Layer.MinLen()
		if size == nil || h.Len <= fixed {
			continue
		}
		chunks((h.Len-fixed)/4, 1, func(from, to int) bool {
			return m.tryPacket(i, func(b []byte) []byte {
				words, _ := size.Get(b[h.Off:])
				size.Set(b[h.Off:], words-uint64(to-from))
				return cut(b, h.Off+fixed+4*from, h.Off+fixed+4*to)
			})
		})
	}
}

// zeroPacket zeroes fields, then ever smaller pieces.
func (m *minimiser) zeroPacket(i int) {
	var l packet.Layout
	l.Parse(m.best.Steps[i].Packet, packet.Ethernet)
	for _, h := range l.Headers[:l.N] {
		for _, f := range packet.Fields(h.Layer) {
			m.tryPacket(i, func(b []byte) []byte {
				f.Set(b[h.Off:h.End()], 0)
				return b
			})
		}
	}
	zeros(len(m.best.Steps[i].Packet), func(from, to int) {
		m.tryPacket(i, func(b []byte) []byte {
			clear(b[from:to])
			return b
		})
	})
}

// tryPacket tries a change of a packet with the lengths and checksums as they are
// then, with both made right, and with checksums alone made right: a failure may
// need a valid packet as well as an invalid one.
func (m *minimiser) tryPacket(i int, change func(b []byte) []byte) bool {
	return m.try(func(in *corpus.Input) {
		in.Steps[i].Packet = repaired(change(in.Steps[i].Packet), true)
	}) || m.try(func(in *corpus.Input) {
		in.Steps[i].Packet = repaired(change(in.Steps[i].Packet), false)
	}) || m.try(func(in *corpus.Input) {
		in.Steps[i].Packet = change(in.Steps[i].Packet)
	})
}

func repaired(b []byte, lengths bool) []byte {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	if lengths {
		l.FixLengths(b)
	}
	l.FixChecksums(b)
	return b
}

// payloadStart returns the offset of what follows the last header.
func payloadStart(b []byte) int {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	if i := l.Index(packet.Payload, 0); i >= 0 {
		return l.Headers[i].Off
	}
	return len(b)
}

// cut takes b[from:to] away, in place.
func cut(b []byte, from, to int) []byte { return append(b[:from], b[to:]...) }

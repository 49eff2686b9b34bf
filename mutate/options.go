package mutate

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// optionRule says how a layer carries options.
type optionRule struct {
	// unit is what the length of all options is a multiple of, max the longest
	// header in bytes.
	unit, max int
	// front is where options may be inserted, besides the end of the header.
	front int
	// options are those worth having; pads fill them up to unit.
	options []string
	pads    []byte
	// grow adds delta bytes, a multiple of unit, to the header's length field.
	grow func(header []byte, delta int)
}

func addByte(p []byte, at, shift, mask, delta int) {
	v := int(p[at])
	p[at] = byte(v&^mask | (v+delta<<shift)&mask)
}

// tlvs are options of IPv6, odd lengths among them.
var tlvs = []string{
	"\x00", "\x01\x00", "\x01\x04\x00\x00\x00\x00", "\x05\x02\x00\x00", // Pad1, PadN, router alert
	"\xc2\x04\x00\x01\x00\x00", "\x1e\x03\x01\x02\x03", // jumbo payload, an experiment
	"\xc9\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03", // home address
}

var tlvRule = &optionRule{
	unit: 8, max: 2048, front: 2, options: tlvs, pads: []byte{0},
	grow: func(p []byte, d int) { p[1] += byte(d / 8) },
}

// optionRules is read only.
var optionRules = [packet.Payload]*optionRule{
	packet.IPv4: {
		unit: 4, max: 60, front: 20, pads: []byte{0, 1},
		options: []string{
			"\x00", "\x01", "\x07\x07\x04\x00\x00\x00\x00", "\x07\x0b\x04\x00\x00\x00\x00\x00\x00\x00\x00", // EOL, NOP, record route
			"\x44\x0c\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x44\x0c\x05\x01\x00\x00\x00\x00\x00\x00\x00\x00", // timestamps
			"\x83\x07\x04\xc0\x00\x02\x03", "\x89\x07\x04\xc0\x00\x02\x03", "\x94\x04\x00\x00", // loose, strict route, router alert
			"\x88\x04\x00\x01", "\x82\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x86\x05\x00\x00\x00", // stream, security, CIPSO
		},
		grow: func(p []byte, d int) { addByte(p, 0, 0, 15, d/4) },
	},
	packet.TCP: {
		unit: 4, max: 60, front: 20, pads: []byte{0, 1},
		options: []string{
			"\x00", "\x01", "\x02\x04\x05\xb4", "\x03\x03\x07", "\x04\x02", // EOL, NOP, MSS, window scale, SACK permitted
			"\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00", "\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02", // timestamps, SACK
			"\x13\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x22\x06\x01\x02\x03\x04", // MD5, fast open
			"\x1e\x03\x00", "\xfe\x04\x00\x00", // MPTCP, an experiment
		},
		grow: func(p []byte, d int) { addByte(p, 12, 4, 0xf0, d/4) },
	},
	packet.HopByHop: tlvRule,
	packet.DestOpts: tlvRule,
	packet.Routing: { // a segment more
		unit: 8, max: 2048, front: 8, pads: []byte{0},
		options: []string{"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04"},
		grow: func(p []byte, d int) {
			p[1] += byte(d / 8)
			p[3]++
			p[4]++
		},
	},
	packet.Geneve: {
		unit: 4, max: 260, front: 8, pads: []byte{0},
		options: []string{
			"\x01\x02\x01\x00", "\x01\x02\x80\x01\x00\x00\x00\x01", "\xff\xff\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00",
		},
		grow: func(p []byte, d int) { addByte(p, 0, 0, 63, d/4) },
	},
}

// insertOption adds an option to a header that can have some, filled up with
// padding; one in four gets another length byte than it needs.
func insertOption(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	start := m.rand.below(l.N)
	for k := range l.N {
		h := l.Headers[wrap(start+k, l.N)]
		if h.Layer >= packet.Payload || optionRules[h.Layer] == nil || h.Len < h.Layer.MinLen() {
			continue
		}
		return m.addOption(s, h, optionRules[h.Layer])
	}
	return false
}

func (m *Mutator) addOption(s *corpus.Step, h packet.Header, rule *optionRule) bool {
	option := rule.options[m.rand.below(len(rule.options))]
	n := (len(option) + rule.unit - 1) / rule.unit * rule.unit
	r := m.rand.next()
	at := h.End()
	if r&1 != 0 {
		at = h.Off + rule.front
	}
	if h.Len+n > rule.max || !m.open(s, at, n) {
		return false
	}
	p := s.Packet[at : at+n]
	pad := rule.pads[int(r>>1&1)%len(rule.pads)]
	for i := copy(p, option); i < n; i++ {
		p[i] = pad
	}
	if r>>2&3 == 0 && len(option) > 1 {
		p[1] = oddLengths[r>>8&7] + p[1]&byte(r>>16)
	}
	rule.grow(s.Packet[h.Off:], n)
	return true
}

// oddLengths are length bytes that walk over an option's end, or nowhere.
var oddLengths = [8]byte{0, 1, 2, 3, 5, 39, 128, 255}

// dropOptions removes all options of an IPv4 or TCP header.
func dropOptions(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	for i := range l.N {
		h := l.Headers[i]
		if h.Layer != packet.IPv4 && h.Layer != packet.TCP || h.Len <= 20 {
			continue
		}
		optionRules[h.Layer].grow(s.Packet[h.Off:], 20-h.Len)
		m.close(s, h.Off+20, h.Len-20)
		return true
	}
	return false
}

// toggleGRE adds or removes GRE's checksum, key or sequence number, with the bytes
// that belong to it.
func toggleGRE(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	i := l.Index(packet.GRE, 0)
	if i < 0 || l.Headers[i].Len < 4 {
		return false
	}
	h := l.Headers[i]
	flag := [4]byte{0x80, 0x20, 0x10, 0x20}[m.rand.next()&3]
	if s.Packet[h.Off]&flag != 0 && h.Len >= 8 {
		m.close(s, h.Off+4, 4)
	} else if !m.open(s, h.Off+4, 4) {
		return false
	}
	s.Packet[h.Off] ^= flag
	return true
}

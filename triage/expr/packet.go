package expr

import (
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// packet compiles what follows "in" and "out".
func (c *compiler) packet(p place, after bool) (operand, error) {
	if len(p.rest) == 0 || p.rest[0].index != nil {
		return operand{}, c.errorf(p.node, "%s needs a member such as %s.len or %s.ipv4.ttl", p.name, p.name, p.name)
	}
	q := p.then()
	name := p.rest[0].name
	if name == "ctx" && !after {
		return c.context(q, false)
	}
	if after && c.shape.NoResult {
		return operand{}, c.errorf(p.node, "programs of type %s give no packet back: look at ret, ctx or map", c.shape.Type)
	}
	if after {
		c.need |= corpus.HaveRet | corpus.HavePacket
	}
	where := c.side(p.step, after)
	switch name {
	case "len":
		return c.packetLength(q, where)
	case "byte", "u16", "u32":
		return c.packetBytes(q, where, map[string]int{"byte": 1, "u16": 2, "u32": 4}[name])
	}
	layer, ok := packet.LayerByName(name)
	if !ok {
		return operand{}, c.errorf(q.node, "%s has no layer %q%s", p.name, name, suggest(name, packetNames(after)))
	}
	return c.layer(q, where, layer)
}

func packetNames(after bool) []string {
	names := []string{"len", "byte", "u16", "u32"}
	if !after {
		names = append(names, "ctx")
	}
	for l := packet.Ethernet; l <= packet.Payload; l++ {
		names = append(names, l.String())
	}
	return names
}

// side describes a packet of the target.
func (c *compiler) side(step int, after bool) side {
	p := side{step: step, after: after}
	if !after {
		return p
	}
	if c.shape.Meta.Max > 0 {
		if f := fieldByName(c.shape.Output, "data"); f != nil {
			data := *f
			p.data = &data
		}
	}
	return p
}

// slotted gives the packet a place for its layout.
func (c *compiler) slotted(p side) side {
	key := side{step: p.step, after: p.after}
	n, ok := c.slots[key]
	if !ok {
		n = len(c.slots)
		c.slots[key] = n
	}
	p.slot = n
	return p
}

func (c *compiler) packetLength(p place, where side) (operand, error) {
	if err := c.end(p); err != nil {
		return operand{}, err
	}
	return c.readNumber(p.node, p.name, 0, func(s scope) num {
		b, ok := where.bytes(s)
		if !ok {
			return num{}
		}
		return natural(uint64(len(b)))
	}), nil
}

// packetBytes compiles in.u16[12]: the bytes at any place, in network order.
func (c *compiler) packetBytes(p place, where side, size int) (operand, error) {
	if len(p.rest) == 0 || p.rest[0].index == nil {
		return operand{}, c.errorf(p.node, "%s needs an offset, as in %s[12]", p.name, p.name)
	}
	offset := p.rest[0].index
	at, err := c.numberAs(offset, "an offset")
	if err != nil {
		return operand{}, err
	}
	p.name, p.rest = p.name+"["+offset.String()+"]", p.rest[1:]
	if err := c.end(p); err != nil {
		return operand{}, err
	}
	return c.readNumber(p.node, p.name, size*8, func(s scope) num {
		b, ok := where.bytes(s)
		i := at.num(s)
		if !ok || i.sign != plus || i.bits > uint64(len(b)) || len(b)-int(i.bits) < size {
			return num{}
		}
		return load(b[i.bits:], size, true)
	}), nil
}

// header is the nth header of a layer in one packet.
type header struct {
	where side
	layer packet.Layer
	nth   int
}

func (h header) find(s scope) (sl *slot, i int) {
	sl = h.where.parsed(s)
	return sl, sl.layout.Index(h.layer, h.nth)
}

// layer compiles in.ipv4.ttl and in.ipv4[1].ttl.
func (c *compiler) layer(p place, where side, layer packet.Layer) (operand, error) {
	h := header{where: c.slotted(where), layer: layer}
	if len(p.rest) > 0 && p.rest[0].index != nil {
		i, ok := constantIndex(p.rest[0].index, packet.MaxHeaders-1)
		if !ok {
			return operand{}, c.errorf(p.rest[0].node, "the number of a layer has to be a literal from 0 to %d", packet.MaxHeaders-1)
		}
		h.nth, p.name, p.node, p.rest = i, p.name+nth(i), p.rest[0].node, p.rest[1:]
	}
	if len(p.rest) == 0 || p.rest[0].index != nil {
		return operand{}, c.errorf(p.node, "%s needs a field: %s", p.name, enumerate(layerFields(layer), "or", 24))
	}
	q := p.then()
	if err := c.end(q); err != nil {
		return operand{}, err
	}
	return c.layerField(p.name, q, h)
}

func (c *compiler) layerField(layer string, q place, h header) (operand, error) {
	name := strings.TrimPrefix(q.name, layer+".")
	names := layerFields(h.layer)
	switch f := packet.FieldByName(h.layer, name); {
	case f != nil:
		return c.headerField(q, h, f), nil
	case !slices.Contains(names, name):
		return operand{}, c.errorf(q.node, "%s has no field %q%s", layer, name, suggest(name, names))
	case name == "present":
		return c.readTruth(q, h.present), nil
	case name == "csum_ok":
		return c.readTruth(q, h.checksum), nil
	case name == "len":
		return c.readNumber(q.node, q.name, 0, h.length), nil
	}
	f := packet.FieldByName(h.layer, name+"_hi")
	low := packet.FieldByName(h.layer, name+"_lo")
	get := func(s scope) wide {
		a, b := h.field(s, f), h.field(s, low)
		return wide{a.bits, b.bits, a.sign != unknown && b.sign != unknown}
	}
	c.reading(q.name, func(s scope) string { return get(s).String() })
	return operand{kind: address, node: q.node, wide: get}, nil
}

// layerFields lists the fields of a layer, those that are not stored as such
// first.
func layerFields(layer packet.Layer) []string {
	names := []string{"present"}
	switch layer {
	case packet.IPv4, packet.TCP, packet.UDP, packet.ICMPv4, packet.ICMPv6, packet.GRE:
		names = append(names, "csum_ok")
	case packet.IPv6:
		names = append(names, "saddr", "daddr")
	case packet.Payload:
		names = append(names, "len")
	}
	for _, f := range packet.Fields(layer) {
		names = append(names, f.Name)
	}
	return names
}

func (c *compiler) readTruth(q place, get func(s scope) truth) operand {
	c.reading(q.name, func(s scope) string { return get(s).String() })
	return operand{kind: boolean, node: q.node, truth: get}
}

func (c *compiler) headerField(q place, h header, f *packet.Field) operand {
	get := func(s scope) num { return h.field(s, f) }
	if f.Kind == packet.Address && f.Bits < 64 {
		c.reading(q.name, func(s scope) string { return addressText(get(s), f.Bits) })
	}
	return c.readNumber(q.node, q.name, f.Bits, get)
}

func (h header) field(s scope, f *packet.Field) num {
	sl, i := h.find(s)
	if i < 0 {
		return num{}
	}
	v, ok := f.Get(sl.layout.Bytes(sl.bytes, i))
	if !ok {
		return num{}
	}
	return natural(v)
}

func (h header) present(s scope) truth {
	sl, i := h.find(s)
	if !sl.there {
		return maybe
	}
	return truthOf(i >= 0)
}

func (h header) checksum(s scope) truth {
	sl, i := h.find(s)
	if i < 0 {
		return maybe
	}
	switch sl.layout.Checksum(sl.bytes, i) {
	case packet.SumValid:
		return yes
	case packet.SumInvalid:
		return no
	}
	return maybe
}

func (h header) length(s scope) num {
	sl, i := h.find(s)
	switch {
	case !sl.there:
		return num{}
	case i < 0:
		return natural(0)
	}
	return natural(uint64(sl.layout.Headers[i].Len))
}

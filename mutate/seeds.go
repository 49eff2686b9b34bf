package mutate

import (
	"cmp"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// maxPerWidth bounds the seeds made of dictionary words of one width, so that a
// program with large tables does not drown the stacks.
const maxPerWidth = 32

// Seeds returns inputs to start from when there is no corpus: well-formed packets
// of the protocols that package packet knows, those first whose numbers the
// program's dictionary has; packets that carry the dictionary's words as
// ethertype, protocol, port or address; conversations where a target takes
// several steps; and boundary values of the context. The order follows from the
// shape alone. Each input is the caller's.
func Seeds(shape *corpus.Shape) []*corpus.Input {
	var dict dictionary
	dict.add(shape.Dictionary)
	var seeds []*corpus.Input
	switch {
	case shape.Payload:
		seeds = payloads(&dict)
	case shape.Packet.Max > 0:
		stacks := allStacks()
		sortByDictionary(stacks, &dict)
		for i := range stacks {
			seeds = append(seeds, onePacket(stacks[i].bytes))
		}
		seeds = append(seeds, dictionaryPackets(&dict)...)
		seeds = append(seeds, conversations(shape)...)
		toFirstLayer(seeds, firstLayer(shape))
	default:
		seeds = append(seeds, onePacket(nil))
	}
	seeds = append(seeds, contextSeeds(shape, seeds[0])...)
	for _, in := range seeds {
		for i := range in.Steps {
			in.Steps[i].Meta = make([]byte, (shape.Meta.Min+3)&^3)
		}
		Conform(shape, in)
	}
	return seeds
}

// onePacket makes an input with room for the padding that some types need.
func onePacket(p []byte) *corpus.Input {
	b := append(make([]byte, 0, len(p)+64), p...)
	return &corpus.Input{Steps: []corpus.Step{{Packet: b}}}
}

// payloads are bytes without headers: none, some of different lengths, and words of
// the dictionary with room behind them.
func payloads(dict *dictionary) []*corpus.Input {
	seeds := []*corpus.Input{onePacket(nil)}
	for _, n := range [...]int{4, 16, 64, 256, 1024} {
		seeds = append(seeds, onePacket(make([]byte, n)))
	}
	for _, word := range dict.all[:min(len(dict.all), maxPerWidth)] {
		seeds = append(seeds, onePacket(append(slices.Clone(word), make([]byte, 16)...)))
	}
	return seeds
}

// sortByDictionary moves stacks to the front that need the fewest numbers which
// the program does not name.
func sortByDictionary(stacks []template, dict *dictionary) {
	if len(dict.all) == 0 {
		return
	}
	slices.SortStableFunc(stacks, func(a, b template) int {
		return cmp.Compare(unnamed(a.bytes, dict), unnamed(b.bytes, dict))
	})
}

// unnamed counts the packet's next-protocol values that are not in the dictionary.
func unnamed(p []byte, dict *dictionary) int {
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	n := 0
	for i := range l.N - 1 {
		v, ok := packet.Selector(l.Headers[i].Layer, l.Headers[i+1].Layer)
		if !ok {
			continue
		}
		width := 2
		if v < 256 {
			width = 1
		}
		if !slices.Contains(dict.words[width], v) {
			n++
		}
	}
	return n
}

// dictionaryPackets carry the dictionary's words where programs look for such.
func dictionaryPackets(dict *dictionary) []*corpus.Input {
	var seeds []*corpus.Input
	put := func(width int, field string, layers ...packet.Layer) {
		words := dict.words[width]
		for _, v := range words[:min(len(words), maxPerWidth)] {
			p := newStack("", layers...).bytes
			var l packet.Layout
			l.Parse(p, packet.Ethernet)
			for i := range l.N {
				if f := packet.FieldByName(l.Headers[i].Layer, field); f != nil {
					f.Set(l.Bytes(p, i), v)
				}
			}
			fix(p)
			seeds = append(seeds, onePacket(p))
		}
	}
	put(1, "protocol", packet.Ethernet, packet.IPv4, packet.UDP)
	put(1, "nexthdr", packet.Ethernet, packet.IPv6, packet.UDP)
	put(2, "h_proto", packet.Ethernet, packet.IPv4, packet.UDP)
	put(2, "dest", packet.Ethernet, packet.IPv4, packet.UDP)
	put(2, "dest", packet.Ethernet, packet.IPv4, packet.TCP)
	put(2, "dest", packet.Ethernet, packet.IPv6, packet.TCP)
	put(4, "daddr", packet.Ethernet, packet.IPv4, packet.UDP)
	put(4, "saddr", packet.Ethernet, packet.IPv4, packet.TCP)
	return seeds
}

// conversations are several packets of one flow, as far as the shape allows.
func conversations(shape *corpus.Shape) []*corpus.Input {
	if shape.MaxSteps < 2 {
		return nil
	}
	var seeds []*corpus.Input
	for _, ip := range []packet.Layer{packet.IPv4, packet.IPv6} {
		seeds = append(seeds,
			conversation(shape.MaxSteps, newStack("", packet.Ethernet, ip, packet.UDP), []byte{0, 0}),
			conversation(shape.MaxSteps, newStack("", packet.Ethernet, ip, packet.TCP),
				[]byte{syn, syn | ack, ack, psh | ack, psh | ack, fin | ack, fin | ack, ack}),
			conversation(shape.MaxSteps, newStack("", packet.Ethernet, ip, packet.TCP), []byte{syn, rst | ack}))
	}
	return seeds
}

// conversation alternates the direction of a packet, and gives it these TCP flags.
// A plain ACK comes from the side that spoke first and leaves the turn with it.
func conversation(maxSteps int, t template, flags []byte) *corpus.Input {
	in := &corpus.Input{}
	reply := false
	for i, f := range flags[:min(len(flags), maxSteps)] {
		p := onePacket(t.bytes).Steps[0].Packet
		var l packet.Layout
		l.Parse(p, packet.Ethernet)
		flow := findFlow(&l, 0)
		if flow.kind == packet.TCP {
			p[flow.transport+13] = f
			store(p[flow.transport+4:], 4, uint64(1+i), true)
		}
		if reply {
			exchange(p[:6], p[6:12])
			flow.reverse(p)
		}
		fix(p)
		in.Steps = append(in.Steps, corpus.Step{Packet: p})
		reply = !reply && !(flow.kind == packet.TCP && f == ack)
	}
	return in
}

// toFirstLayer removes Ethernet headers for types that start behind it.
func toFirstLayer(seeds []*corpus.Input, first packet.Layer) {
	if first == packet.Ethernet {
		return
	}
	for _, in := range seeds {
		for i := range in.Steps {
			s := &in.Steps[i]
			s.Packet = s.Packet[min(len(s.Packet), packet.Ethernet.MinLen()):]
		}
	}
}

// contextSeeds are copies of an input with boundary values in one context field
// at a time.
func contextSeeds(shape *corpus.Shape, base *corpus.Input) []*corpus.Input {
	var seeds []*corpus.Input
	fresh := freshContext(shape)
	for _, f := range legalFields(shape) {
		values := append([]uint64{1}, f.Values...)
		if f.Max > 0 {
			values = append(values, f.Max)
		}
		for _, v := range values[:min(len(values), maxPerWidth)] {
			in := onePacket(base.Steps[0].Packet)
			in.Steps[0].Context = slices.Clone(fresh)
			putField(in.Steps[0].Context, &f, clamp(&f, v))
			seeds = append(seeds, in)
		}
	}
	return seeds
}

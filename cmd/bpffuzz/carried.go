package main

import (
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
)

// unwrapped returns inputs for a program of that shape: where it takes payload,
// captured frames become what they carry over TCP or UDP, and those that carry
// nothing are left out.
func unwrapped(u *ui, path string, shape *corpus.Shape, all []named) []named {
	if pcap.FormOf(shape) != pcap.Payload || !slices.ContainsFunc(all, func(n named) bool { return n.frames }) {
		return all
	}
	var kept []named
	frames, empty := 0, 0
	for _, n := range all {
		if n.frames {
			steps := len(n.in.Steps)
			n.in = carried(n.in)
			frames, empty = frames+steps, empty+steps-len(n.in.Steps)
		}
		if len(n.in.Steps) > 0 {
			kept = append(kept, n)
		}
	}
	u.say("note: %s takes payload without headers: what %s of %s carry over TCP or UDP is taken, and %d carry nothing",
		shape.Type, count(frames, "frame"), path, empty)
	return kept
}

// carried returns a copy of an input whose packets are what its frames carry, without
// the steps that would be empty.
func carried(in *corpus.Input) *corpus.Input {
	in = in.Clone()
	for i := range in.Steps {
		in.Steps[i].Packet = pcap.Carried(in.Steps[i].Packet)
	}
	in.Steps = slices.DeleteFunc(in.Steps, func(s corpus.Step) bool { return len(s.Packet) == 0 })
	return in
}

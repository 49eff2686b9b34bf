package pcap

import (
	"github.com/google/gopacket/layers"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Form says what the packets of a target are.
type Form uint8

const (
	// Frames begin with an Ethernet header.
	Frames Form = iota
	// Payload is bytes for an application, without headers.
	Payload
	// Nothing: the target takes no packets.
	Nothing
)

// FormOf returns what the packets of inputs of that shape are.
func FormOf(shape *corpus.Shape) Form {
	switch {
	case shape.Packet.Max == 0:
		return Nothing
	case shape.Payload:
		return Payload
	}
	return Frames
}

// Noun is what one of them is called in a sentence: "packet" or "payload".
func (f Form) Noun() string {
	if f == Payload {
		return "payload"
	}
	return "packet"
}

// linkTypeUser0 is the first of those that everybody may use as they like. Captures
// of payload have it; what has it is read as it is.
const linkTypeUser0 layers.LinkType = 147

func (f Form) link() layers.LinkType {
	if f == Payload {
		return linkTypeUser0
	}
	return layers.LinkTypeEthernet
}

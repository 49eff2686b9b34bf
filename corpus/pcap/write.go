package pcap

import (
	"fmt"
	"io"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Write writes the packets of an input as a pcap, see Writer.
func Write(w io.Writer, in *corpus.Input, form Form) error {
	p, err := NewWriter(w, form)
	if err != nil {
		return err
	}
	return p.Add(in)
}

// Writer writes the packets of inputs as a pcap, one packet per step, a microsecond
// apart from the epoch on, so that the same inputs give the same bytes. Its link type
// is Ethernet, or USER0 for payload. Metadata, contexts and maps have no place in it.
// Packets longer than DefaultMaxPacket are cut.
type Writer struct {
	to *pcapgo.Writer
	n  int64 // packets
}

// NewWriter writes the head of a capture of packets of that form.
func NewWriter(w io.Writer, form Form) (*Writer, error) {
	p := &Writer{to: pcapgo.NewWriter(w)}
	if err := p.to.WriteFileHeader(DefaultMaxPacket, form.link()); err != nil {
		return nil, fmt.Errorf("writing pcap: %w", err)
	}
	return p, nil
}

// Add writes the packets of an input behind those that are there.
func (p *Writer) Add(in *corpus.Input) error {
	for i := range in.Steps {
		b := in.Steps[i].Packet
		kept := b[:min(len(b), DefaultMaxPacket)]
		info := gopacket.CaptureInfo{Timestamp: time.UnixMicro(p.n).UTC(), CaptureLength: len(kept), Length: len(b)}
		if err := p.to.WritePacket(info, kept); err != nil {
			return fmt.Errorf("writing pcap: step %d: %w", i, err)
		}
		p.n++
	}
	return nil
}

// Packets returns how many packets were written.
func (p *Writer) Packets() int64 { return p.n }

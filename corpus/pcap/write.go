package pcap

import (
	"fmt"
	"io"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Write writes the packets of an input as a pcap, one packet per step, a microsecond
// apart from the epoch on, so that the same input gives the same bytes. Its link type
// is Ethernet, or USER0 for payload. Metadata, contexts and maps have no place in it.
// Packets longer than DefaultMaxPacket are cut.
func Write(w io.Writer, in *corpus.Input, form Form) error {
	p := pcapgo.NewWriter(w)
	if err := p.WriteFileHeader(DefaultMaxPacket, form.link()); err != nil {
		return fmt.Errorf("writing pcap: %w", err)
	}
	for i := range in.Steps {
		b := in.Steps[i].Packet
		kept := b[:min(len(b), DefaultMaxPacket)]
		info := gopacket.CaptureInfo{Timestamp: time.UnixMicro(int64(i)).UTC(), CaptureLength: len(kept), Length: len(b)}
		if err := p.WritePacket(info, kept); err != nil {
			return fmt.Errorf("writing pcap: step %d: %w", i, err)
		}
	}
	return nil
}

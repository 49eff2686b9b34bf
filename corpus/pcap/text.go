package pcap

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Text shows a packet to people. Of frames there is a line with the headers and what
// their checksums are worth, a line per layer with its fields as gopacket decodes
// them, and a hex dump; of payload there is the dump. It never fails: what gopacket
// cannot decode is said, and the rest shown.
func Text(b []byte, form Form) string {
	if form != Frames {
		return fmt.Sprintf("%d bytes\n%s", len(b), hex.Dump(b))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d bytes: %s\n", len(b), headers(b))
	s.WriteString(decoded(b))
	s.WriteString(hex.Dump(b))
	return s.String()
}

// headers lists the headers: "ethernet / ipv4 (checksum invalid) / udp / payload 4".
func headers(b []byte) string {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	parts := make([]string, 0, l.N)
	for i, h := range l.Headers[:l.N] {
		part := h.Layer.String()
		switch {
		case h.Layer == packet.Payload:
			part = fmt.Sprintf("payload %d", h.Len)
		case h.Len < h.Layer.MinLen():
			part += fmt.Sprintf(" (cut off after %d bytes)", h.Len)
		case l.Checksum(b, i) != packet.SumAbsent:
			part += fmt.Sprintf(" (checksum %s)", l.Checksum(b, i))
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "empty"
	}
	return strings.Join(parts, " / ")
}

// decoded has a line per layer. gopacket's decoders panic on some malformed
// packets, and so do its printers: what was said until then is kept.
func decoded(b []byte) (text string) {
	var s strings.Builder
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(&s, "  (not decoded further: %v)\n", p)
		}
		text = s.String()
	}()
	if len(b) == 0 {
		return ""
	}
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	for _, layer := range p.Layers() {
		if layer.LayerType() == gopacket.LayerTypePayload || layer.LayerType() == gopacket.LayerTypeDecodeFailure {
			continue // the hex dump shows it better
		}
		fmt.Fprintf(&s, "  %s\n", oneLine(gopacket.LayerString(layer)))
	}
	if failed := p.ErrorLayer(); failed != nil {
		fmt.Fprintf(&s, "  (not decoded further: %s)\n", oneLine(failed.Error().Error()))
	}
	return ""
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

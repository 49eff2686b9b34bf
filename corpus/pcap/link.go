package pcap

import (
	"encoding/binary"
	"fmt"

	"github.com/google/gopacket/layers"
)

// linkTypeSLL2 is how gopacket, which keeps 8 bits, sees 276, the second Linux
// cooked type that tcpdump writes for "any". linkTypeOldRaw is raw IP as some
// systems number it.
const (
	linkTypeSLL2   layers.LinkType = 276 & 0xff
	linkTypeOldRaw layers.LinkType = 12
)

// checkLink refuses link types that gopacket would take for others.
func checkLink(link uint32) error {
	if link > 255 && link != 276 {
		return fmt.Errorf("link type %d is not supported: convert the capture to Ethernet", link)
	}
	return nil
}

// macs is the start of an Ethernet header that a packet gets which has none: two
// locally administered addresses.
const macs = "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01"

// toEthernet replaces the link-layer header of a packet by an Ethernet header.
func toEthernet(b []byte, link layers.LinkType) ([]byte, error) {
	switch link {
	case layers.LinkTypeEthernet, linkTypeUser0:
		return b, nil
	case layers.LinkTypeRaw, linkTypeOldRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
		return fromIP(b)
	case layers.LinkTypeNull, layers.LinkTypeLoop: // an address family, whose numbers differ between systems
		if len(b) < 4 {
			return nil, fmt.Errorf("%d bytes are no loopback header", len(b))
		}
		return fromIP(b[4:])
	case layers.LinkTypeLinuxSLL:
		return fromCooked(b, 16, 14)
	case linkTypeSLL2:
		return fromCooked(b, 20, 0)
	}
	return nil, fmt.Errorf("link type %d is not supported: convert the capture to Ethernet", uint8(link))
}

func fromIP(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("packet is empty")
	}
	switch b[0] >> 4 {
	case 4:
		return withEthernet(0x0800, b), nil
	case 6:
		return withEthernet(0x86dd, b), nil
	}
	return nil, fmt.Errorf("IP version %d", b[0]>>4)
}

// fromCooked reads Linux cooked headers of size bytes with the ethertype at that offset.
func fromCooked(b []byte, size, ethertype int) ([]byte, error) {
	if len(b) < size {
		return nil, fmt.Errorf("%d bytes are no Linux cooked header", len(b))
	}
	return withEthernet(binary.BigEndian.Uint16(b[ethertype:]), b[size:]), nil
}

func withEthernet(ethertype uint16, b []byte) []byte {
	p := append(make([]byte, 0, 14+len(b)), macs...)
	p = binary.BigEndian.AppendUint16(p, ethertype)
	return append(p, b...)
}

package pcap

import (
	"encoding/binary"
	"fmt"
)

// Block types of pcapng.
const (
	ngSectionHeader  = 0x0a0d0d0a
	ngInterface      = 1
	ngPacket         = 2
	ngSimplePacket   = 3
	ngEnhancedPacket = 6
)

// soundBlocks returns how many bytes at the start of a pcapng file are whole
// blocks with believable lengths. gopacket allocates what a packet block claims,
// up to 4 GiB, before it reads; so claims are checked here.
func soundBlocks(data []byte) (sound int, err error) {
	var order binary.ByteOrder = binary.LittleEndian
	for at := 0; at < len(data); {
		rest := data[at:]
		if len(rest) < 12 {
			return at, fmt.Errorf("block at offset %d is cut off", at)
		}
		if binary.LittleEndian.Uint32(rest) == ngSectionHeader {
			order = binary.LittleEndian
			if binary.BigEndian.Uint32(rest[8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
		}
		size := order.Uint32(rest[4:])
		if size < 12 || size%4 != 0 || uint64(size) > uint64(len(rest)) {
			return at, fmt.Errorf("block at offset %d claims %d bytes of %d", at, size, len(rest))
		}
		if err := soundBlock(order, order.Uint32(rest), rest[8:size-4]); err != nil {
			return at, fmt.Errorf("block at offset %d: %w", at, err)
		}
		at += int(size)
	}
	return len(data), nil
}

// soundBlock checks the body of one block.
func soundBlock(order binary.ByteOrder, kind uint32, body []byte) error {
	switch kind {
	case ngInterface:
		if len(body) < 8 {
			return fmt.Errorf("interface of %d bytes", len(body))
		}
		return checkLink(uint32(order.Uint16(body)))
	case ngPacket, ngEnhancedPacket:
		if len(body) < 20 {
			return fmt.Errorf("packet block of %d bytes", len(body))
		}
		if n := order.Uint32(body[12:]); uint64(n) > uint64(len(body)-20) || n > DefaultMaxPacket {
			return fmt.Errorf("packet claims %d bytes of %d", n, len(body)-20)
		}
	case ngSimplePacket:
		if len(body) < 4 {
			return fmt.Errorf("packet block of %d bytes", len(body))
		}
		if n := order.Uint32(body); n > DefaultMaxPacket {
			return fmt.Errorf("packet claims %d bytes", n)
		}
	}
	return nil
}

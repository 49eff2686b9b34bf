// Package pcap reads captures and raw packets as inputs, writes inputs as
// captures, and shows packets as text. All of it is for seeds and reports, not
// for the loop.
package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Defaults of Options.
const (
	DefaultMaxFile    = 256 << 20
	DefaultMaxPacket  = 256 << 10
	DefaultMaxPackets = 100_000
)

// Options bound what is read. The zero value is useful.
type Options struct {
	// MaxFile is the largest file in bytes, after decompression; 0 means DefaultMaxFile.
	MaxFile int
	// MaxPacket is the length to which packets are cut; 0 means DefaultMaxPacket. A
	// target's Shape.Packet.Max is a good value.
	MaxPacket int
	// MaxPackets is how many packets are read from one path; 0 means DefaultMaxPackets.
	MaxPackets int
}

func (o Options) withDefaults() Options {
	if o.MaxFile <= 0 {
		o.MaxFile = DefaultMaxFile
	}
	if o.MaxPacket <= 0 || o.MaxPacket > DefaultMaxPacket {
		o.MaxPacket = DefaultMaxPacket
	}
	if o.MaxPackets <= 0 {
		o.MaxPackets = DefaultMaxPackets
	}
	return o
}

// Seeds is what was read.
type Seeds struct {
	// Inputs have one step each, whose packet starts with an Ethernet header, unless the
	// capture is of payload (see Form).
	Inputs []*corpus.Input
	// Frames says of each of them whether it is a captured frame, and not payload, a
	// corpus file's or the bytes of a file. See Carried for targets that take payload.
	Frames []bool
	// Raw says that they are no capture's but the bytes of files, by ReadPath.
	Raw bool
	// Warnings say in one line each what was cut, skipped or ignored.
	Warnings []string
}

func (s *Seeds) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
}

func (s *Seeds) add(b []byte, frame bool) {
	s.Frames = append(s.Frames, frame)
	s.Inputs = append(s.Inputs, &corpus.Input{Steps: []corpus.Step{{Packet: b}}})
}

// ErrFormat means that the bytes are no capture.
var ErrFormat = errors.New("neither pcap nor pcapng")

// Read reads a pcap or pcapng capture, gzipped or not: one input per packet. A
// capture that is cut off or damaged gives the packets in front of the damage and
// a warning. The error wraps ErrFormat where the bytes are no capture.
func Read(r io.Reader, opts Options) (*Seeds, error) {
	opts = opts.withDefaults()
	data, err := readAll(r, opts.MaxFile)
	if err != nil {
		return nil, err
	}
	return parse(data, opts)
}

// readAll reads and decompresses at most limit bytes; more is an error. What only
// looks compressed is returned as it is, and a damaged end is left out.
func readAll(r io.Reader, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading capture: %w", err)
	}
	if z, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
		if plain, err := io.ReadAll(io.LimitReader(z, int64(limit)+1)); err == nil || isCapture(plain) {
			data = plain
		}
	}
	if len(data) > limit {
		return nil, fmt.Errorf("capture is larger than %d bytes: split it", limit)
	}
	return data, nil
}

// isCapture tells captures by their first bytes.
func isCapture(data []byte) bool {
	if len(data) < 4 {
		return false
	}
	switch binary.LittleEndian.Uint32(data) {
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, ngSectionHeader:
		return true
	}
	return false
}

func parse(data []byte, opts Options) (*Seeds, error) {
	if !isCapture(data) {
		return nil, ErrFormat
	}
	s := &Seeds{}
	next, err := s.open(data)
	if err != nil {
		return nil, fmt.Errorf("reading capture: %w", err)
	}
	for n := 1; ; n++ {
		b, link, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			s.warn("packet %d and what follows is unreadable: %v", n, err)
			return s, nil
		case n > opts.MaxPackets:
			s.warn("only the first %d packets are read", opts.MaxPackets)
			return s, nil
		}
		s.addCaptured(n, b, link, opts.MaxPacket)
	}
}

// addCaptured adds the n-th packet of a capture.
func (s *Seeds) addCaptured(n int, b []byte, link layers.LinkType, limit int) {
	b, err := toEthernet(b, link)
	if err != nil {
		s.warn("packet %d is skipped: %v", n, err)
		return
	}
	if len(b) > limit {
		s.warn("packet %d has %d bytes: the first %d are kept", n, len(b), limit)
		b = b[:limit:limit]
	}
	s.add(b, link != linkTypeUser0)
}

// next returns packet after packet, then io.EOF.
type next func() (b []byte, link layers.LinkType, err error)

// open makes gopacket's reader for either format. A panic of that reader is an
// error: it does not expect hostile files.
func (s *Seeds) open(data []byte) (n next, err error) {
	defer recovered(&err)
	if binary.LittleEndian.Uint32(data) == ngSectionHeader {
		return s.openNg(data)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if len(data) >= 24 {
		if err := checkLink(order(data).Uint32(data[20:24]) & 0xffff); err != nil {
			return nil, err
		}
	}
	r.SetSnaplen(DefaultMaxPacket) // the header's may be any number, and bounds allocations
	link := r.LinkType()
	return func() (b []byte, _ layers.LinkType, err error) {
		defer recovered(&err)
		b, _, err = r.ReadPacketData()
		return b, link, err
	}, nil
}

// order is the byte order of a pcap file.
func order(data []byte) binary.ByteOrder {
	switch binary.LittleEndian.Uint32(data) {
	case 0xa1b2c3d4, 0xa1b23c4d:
		return binary.LittleEndian
	}
	return binary.BigEndian
}

func (s *Seeds) openNg(data []byte) (next, error) {
	sound, err := soundBlocks(data)
	if err != nil {
		s.warn("only the first %d bytes are read: %v", sound, err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(data[:sound]), pcapgo.NgReaderOptions{
		WantMixedLinkType: true, SkipUnknownVersion: true,
	})
	if err != nil {
		return nil, err
	}
	return func() (b []byte, link layers.LinkType, err error) {
		defer recovered(&err)
		var ci gopacket.CaptureInfo
		if b, ci, err = r.ReadPacketData(); err == nil {
			link = ci.AncillaryData[0].(layers.LinkType)
		}
		return b, link, err
	}, nil
}

// recovered turns a panic into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("malformed: %v", p)
	}
}

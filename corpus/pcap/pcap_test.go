package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// A frame has an Ethernet header, one of IPv4 and four bytes more.
var (
	ipPacket = []byte{0x45, 0, 0, 24, 0, 1, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4}
	frame    = append([]byte(macs+"\x08\x00"), ipPacket...)
)

func capture(t testing.TB, link layers.LinkType, packets ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := pcapgo.NewWriter(&buf)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p)}, p); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func captureNg(t testing.TB, links []layers.LinkType, packets ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := pcapgo.NewNgWriter(&buf, links[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links[1:] {
		if _, err := w.AddInterface(pcapgo.NgInterface{LinkType: link}); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range packets {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p), InterfaceIndex: i % len(links)}
		if err := w.WritePacket(info, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRead(t *testing.T) {
	sll := append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00}, ipPacket...)
	sll2 := append([]byte{0x08, 0x00, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ipPacket...)
	linkSLL2 := capture(t, layers.LinkTypeEthernet, sll2)
	binary.LittleEndian.PutUint32(linkSLL2[20:], 276)
	one := capture(t, layers.LinkTypeEthernet, frame)
	tests := []struct {
		name    string
		data    []byte
		opts    Options
		want    [][]byte
		warning string // part of the only one
	}{
		{"pcap", capture(t, layers.LinkTypeEthernet, frame, frame[:20]), Options{}, [][]byte{frame, frame[:20]}, ""},
		{"gzipped", gzipped(t, one), Options{}, [][]byte{frame}, ""},
		{"pcapng", captureNg(t, []layers.LinkType{layers.LinkTypeEthernet}, frame, frame[:15]), Options{}, [][]byte{frame, frame[:15]}, ""},
		{"pcapng of two interfaces", captureNg(t, []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeRaw}, frame, ipPacket), Options{}, [][]byte{frame, frame}, ""},
		{"raw ip", capture(t, layers.LinkTypeRaw, ipPacket), Options{}, [][]byte{frame}, ""},
		{"ipv4", capture(t, layers.LinkTypeIPv4, ipPacket), Options{}, [][]byte{frame}, ""},
		{"loopback", capture(t, layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, ipPacket...)), Options{}, [][]byte{frame}, ""},
		{"linux cooked", capture(t, layers.LinkTypeLinuxSLL, sll), Options{}, [][]byte{frame}, ""},
		{"linux cooked 2", linkSLL2, Options{}, [][]byte{frame}, ""},
		{"no packets", capture(t, layers.LinkTypeEthernet), Options{}, nil, ""},
		{"wireless", capture(t, layers.LinkTypeIEEE802_11, frame), Options{}, nil, "packet 1 is skipped: link type 105 is not supported"},
		{"raw of no ip version", capture(t, layers.LinkTypeRaw, []byte{0x15}), Options{}, nil, "IP version 1"},
		{"cooked and too short", capture(t, layers.LinkTypeLinuxSLL, sll[:15]), Options{}, nil, "no Linux cooked header"},
		{"long packet", one, Options{MaxPacket: 16}, [][]byte{frame[:16]}, "packet 1 has 38 bytes: the first 16 are kept"},
		{"many packets", capture(t, layers.LinkTypeEthernet, frame, frame, frame), Options{MaxPackets: 2}, [][]byte{frame, frame}, "only the first 2 packets"},
		{"cut off", capture(t, layers.LinkTypeEthernet, frame, frame)[:24+16+38+20], Options{}, [][]byte{frame}, "packet 2 and what follows is unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read(bytes.NewReader(tt.data), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			checkPackets(t, s, tt.want)
			checkWarning(t, s, tt.warning)
		})
	}
}

func checkPackets(t *testing.T, s *Seeds, want [][]byte) {
	t.Helper()
	if len(s.Inputs) != len(want) {
		t.Fatalf("%d inputs, want %d; warnings: %q", len(s.Inputs), len(want), s.Warnings)
	}
	for i, in := range s.Inputs {
		if len(in.Steps) != 1 || !bytes.Equal(in.Steps[0].Packet, want[i]) {
			t.Errorf("input %d is %x, want %x", i, in.Steps, want[i])
		}
	}
}

func checkWarning(t *testing.T, s *Seeds, want string) {
	t.Helper()
	switch {
	case want == "" && len(s.Warnings) > 0:
		t.Errorf("warnings: %q", s.Warnings)
	case want != "" && (len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], want)):
		t.Errorf("warnings are %q, want one with %q", s.Warnings, want)
	}
}

func TestReadErrors(t *testing.T) {
	foreign := capture(t, layers.LinkTypeEthernet, frame)
	binary.LittleEndian.PutUint32(foreign[20:], 257) // PROFIBUS, which 8 bits take for Ethernet
	tests := []struct {
		name, want string
		data       []byte
		opts       Options
	}{
		{"empty", "neither pcap nor pcapng", nil, Options{}},
		{"text", "neither pcap nor pcapng", []byte("hello, world"), Options{}},
		{"only a magic number", "reading capture", capture(t, layers.LinkTypeEthernet)[:10], Options{}},
		{"foreign link type", "link type 257 is not supported", foreign, Options{}},
		{"too large", "larger than 30 bytes", capture(t, layers.LinkTypeEthernet, frame), Options{MaxFile: 30}},
		{"too large when decompressed", "larger than 200 bytes", gzipped(t, capture(t, layers.LinkTypeEthernet, make([]byte, 5000))), Options{MaxFile: 200}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(bytes.NewReader(tt.data), tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := Read(strings.NewReader("hello"), Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("error is %v, want ErrFormat", err)
	}
}

// TestHugeClaims has packets that claim gigabytes, which must not be allocated.
func TestHugeClaims(t *testing.T) {
	pcap := capture(t, layers.LinkTypeEthernet, frame, frame)
	for _, at := range []int{16, 24 + 16 + 38 + 8, 24 + 16 + 38 + 12} { // snapshot length, then both lengths of the second packet
		binary.LittleEndian.PutUint32(pcap[at:], 0xf0000000)
	}
	ng := captureNg(t, []layers.LinkType{layers.LinkTypeEthernet}, frame, frame)
	second := bytes.LastIndex(ng, frame)
	binary.LittleEndian.PutUint32(ng[second-8:], 0xf0000000)
	binary.LittleEndian.PutUint32(ng[second-4:], 0xf0000000)
	for name, data := range map[string][]byte{"pcap": pcap, "pcapng": ng} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(bytes.NewReader(data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkPackets(t, s, [][]byte{frame})
			if len(s.Warnings) != 1 {
				t.Errorf("warnings: %q", s.Warnings)
			}
		})
	}
}

func TestReadPath(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a-raw": frame, "b.pcap": capture(t, layers.LinkTypeEthernet, frame[:20], frame[:21]), "c-empty": nil, ".hidden": frame,
		"d-looks-gzipped": append([]byte{0x1f, 0x8b}, frame...), "e.pcap": capture(t, layers.LinkTypeEthernet)[:12],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := ReadPath(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkPackets(t, s, [][]byte{frame, frame[:20], frame[:21], append([]byte{0x1f, 0x8b}, frame...)})
	if len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0], "c-empty") || !strings.Contains(s.Warnings[1], "e.pcap") {
		t.Errorf("warnings: %q", s.Warnings)
	}
	if s, err = ReadPath(dir, Options{MaxPackets: 2}); err != nil || len(s.Inputs) != 2 {
		t.Errorf("%d inputs and %v, want 2", len(s.Inputs), err)
	}
	if s, err = ReadPath(filepath.Join(dir, "a-raw"), Options{MaxPacket: 14}); err != nil || len(s.Inputs) != 1 || len(s.Inputs[0].Steps[0].Packet) != 14 {
		t.Errorf("a single raw file: %+v, %v", s, err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), "/dev/zero"} {
		if _, err := ReadPath(path, Options{}); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

func TestWriteThenRead(t *testing.T) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: frame}, {Packet: frame[:3]}, {Packet: []byte{}}}}
	var buf, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&buf, &again} {
		if err := Write(w, in, Frames); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(buf.Bytes(), again.Bytes()) {
		t.Error("the same input was written differently")
	}
	s, err := Read(&buf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkPackets(t, s, [][]byte{frame, frame[:3], {}})
}

type fullDisk struct{ room int }

func (w *fullDisk) Write(b []byte) (int, error) {
	if w.room -= len(b); w.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: frame}}}
	for _, room := range []int{0, 24, 50} {
		if err := Write(&fullDisk{room}, in, Frames); err == nil || !strings.Contains(err.Error(), "writing pcap") {
			t.Errorf("with room for %d bytes the error is %v", room, err)
		}
	}
}

// Bytes of an application come back as they were, and are not taken for headers.
func TestPayload(t *testing.T) {
	shape := &corpus.Shape{Packet: corpus.Bounds{Max: 4096}, Payload: true}
	if form := FormOf(shape); form != Payload {
		t.Fatalf("FormOf gives %d", form)
	}
	if form := FormOf(&corpus.Shape{}); form != Nothing {
		t.Errorf("FormOf of a target without packets gives %d", form)
	}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: []byte("GET / HTTP/1.1\r\n")}, {Packet: []byte{1}}, {}}}
	var capture bytes.Buffer
	if err := Write(&capture, in, Payload); err != nil {
		t.Fatal(err)
	}
	if link := binary.LittleEndian.Uint32(capture.Bytes()[20:]); link != 147 {
		t.Errorf("link type %d, want 147, USER0", link)
	}
	seeds, err := Read(&capture, Options{})
	if err != nil || len(seeds.Warnings) > 0 || len(seeds.Inputs) != len(in.Steps) {
		t.Fatalf("Read gives %+v, %v", seeds, err)
	}
	for i := range in.Steps {
		if got := seeds.Inputs[i].Steps[0].Packet; !bytes.Equal(got, in.Steps[i].Packet) {
			t.Errorf("packet %d is %q, was %q", i, got, in.Steps[i].Packet)
		}
	}
	text := Text(in.Steps[0].Packet, Payload)
	if want := "16 bytes\n00000000  47 45 54"; !strings.HasPrefix(text, want) || strings.Contains(text, "thernet") {
		t.Errorf("Text gives\n%s", text)
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		want   []string
	}{
		{"whole", frame, []string{"38 bytes: ethernet / ipv4 (checksum invalid) / payload 4", "SrcIP=10.0.0.1", "TTL=64", "00000020  "}},
		{"cut off", frame[:20], []string{"ipv4 (cut off after 6 bytes)", "not decoded further", "08 00 45"}},
		{"empty", nil, []string{"0 bytes: empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := Text(tt.packet, Frames)
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(capture(f, layers.LinkTypeEthernet, frame, frame))
	f.Add(captureNg(f, []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeRaw}, frame, ipPacket))
	f.Add(gzipped(f, capture(f, layers.LinkTypeLinuxSLL, frame)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read(bytes.NewReader(data), Options{MaxFile: 1 << 20, MaxPacket: 100, MaxPackets: 50})
		if err != nil {
			return
		}
		if len(s.Inputs) > 50 {
			t.Errorf("%d inputs", len(s.Inputs))
		}
		for _, in := range s.Inputs {
			if len(in.Steps[0].Packet) > 100 {
				t.Errorf("packet of %d bytes", len(in.Steps[0].Packet))
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(frame)
	f.Add(append(bytes.Clone(frame[:14]), 0x4f, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0x44, 3, 7, 0, 0x83, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text := Text(b, Frames); !strings.HasSuffix(text, "\n") {
			t.Errorf("text %q", text)
		}
	})
}

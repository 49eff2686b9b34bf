package packet_test

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

func TestFieldTables(t *testing.T) {
	for layer := packet.Ethernet; layer <= packet.Payload; layer++ {
		seen := map[string]bool{}
		for _, f := range packet.Fields(layer) {
			if seen[f.Name] || f.Name == "" {
				t.Errorf("%s: field name %q twice or empty", layer, f.Name)
			}
			seen[f.Name] = true
			if f.Bits < 1 || f.Bits > 64 || f.Bit < 0 || (f.Bit+f.Bits+7)/8-f.Bit/8 > 8 {
				t.Errorf("%s.%s: %d bits at %d", layer, f.Name, f.Bits, f.Bit)
			}
			if len(f.Values) == 0 {
				t.Errorf("%s.%s has no boundary values", layer, f.Name)
			}
			for _, v := range f.Values {
				if v > f.Max() {
					t.Errorf("%s.%s: %#x is wider than %d bits", layer, f.Name, v, f.Bits)
				}
			}
		}
		if n := len(packet.Fields(layer)); n == 0 && layer != packet.Payload {
			t.Errorf("%s has no fields", layer)
		}
	}
	if packet.Fields(packet.Layer(200)) != nil {
		t.Error("fields of no layer")
	}
}

func TestFieldSetTouchesNothingElse(t *testing.T) {
	for layer := packet.Ethernet; layer <= packet.Payload; layer++ {
		for _, f := range packet.Fields(layer) {
			for _, background := range []byte{0, 0xff} {
				header := make([]byte, 64)
				for i := range header {
					header[i] = background
				}
				want := f.Max() / 3
				if !f.Set(header, want|^f.Max()) {
					t.Fatalf("%s.%s cannot be set", layer, f.Name)
				}
				if got, ok := f.Get(header); !ok || got != want {
					t.Errorf("%s.%s = %#x, %v, want %#x", layer, f.Name, got, ok, want)
				}
				for bit := range 8 * len(header) {
					inside := bit >= f.Bit && bit < f.Bit+f.Bits
					if !inside && header[bit/8]>>(7-bit%8)&1 != background&1 {
						t.Errorf("%s.%s changed bit %d", layer, f.Name, bit)
					}
				}
			}
		}
	}
}

func TestFieldValues(t *testing.T) {
	ip := []byte{0x46, 0xb9, 0x05, 0xdc, 0x12, 0x34, 0x60, 0x03, 63, 17, 0xab, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2}
	for name, want := range map[string]uint64{
		"version": 4, "ihl": 6, "tos": 0xb9, "dscp": 46, "ecn": 1, "tot_len": 1500, "id": 0x1234, "frag_off": 0x6003,
		"df": 1, "mf": 1, "frag_offset": 3, "ttl": 63, "protocol": 17, "check": 0xabcd, "saddr": 0x0a000001, "daddr": 0x0a000002,
	} {
		f := packet.FieldByName(packet.IPv4, name)
		if f == nil {
			t.Errorf("no field %s", name)
			continue
		}
		if got, ok := f.Get(ip); !ok || got != want {
			t.Errorf("%s = %#x, %v, want %#x", name, got, ok, want)
		}
	}
	daddr := packet.FieldByName(packet.IPv4, "daddr")
	if _, ok := daddr.Get(ip[:19]); ok || daddr.Set(ip[:19], 1) {
		t.Error("daddr of a header of 19 bytes")
	}
	if packet.FieldByName(packet.IPv4, "sport") != nil {
		t.Error("ipv4 has a field sport")
	}
}

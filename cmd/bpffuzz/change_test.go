package main

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

const udpPacket = "020000000001" + "020000000002" + "0800" + // Ethernet
	"4500002000010000" + "4011" + "66b9" + "0a000001" + "0a000002" + // IPv4
	"1388" + "0035" + "000c" + "a5a5" + "01020304" // UDP

func TestCompare(t *testing.T) {
	before, err := hex.DecodeString(udpPacket)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(p []byte) []byte
		want   []change
		same   bool
	}{
		"nothing": {func(p []byte) []byte { return p }, nil, true},
		"a field and a checksum": {
			func(p []byte) []byte { p[22], p[24], p[25] = 63, 0x00, 0x0b; return p },
			[]change{{"ipv4.ttl", "64", "63"}, {"ipv4.check", "0x66b9", "0x000b"}},
			true,
		},
		"an address": {
			func(p []byte) []byte { p[33] = 9; return p },
			[]change{{"ipv4.daddr", "10.0.0.2", "10.0.0.9"}},
			true,
		},
		"payload": {
			func(p []byte) []byte { p[42] = 9; return p },
			[]change{{"payload bytes", "01020304", "09020304"}},
			true,
		},
		"shorter payload": {
			func(p []byte) []byte { return p[:44] },
			[]change{{"payload length", "4", "2"}},
			true,
		},
		"another layer": {func(p []byte) []byte { p[23] = 6; return p }, nil, false},
		"cut off":       {func(p []byte) []byte { return p[:14] }, nil, false},
		"all gone":      {func([]byte) []byte { return nil }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			changes, layers, same := compare(before, test.change(bytes.Clone(before)))
			if same != test.same || !slices.Equal(changes, test.want) {
				t.Errorf("changes %v, same layers %v; want %v, %v", changes, same, test.want, test.same)
			}
			if layers[0] != "ethernet / ipv4 / udp / payload" {
				t.Errorf("layers %q", layers[0])
			}
		})
	}
}

package pcap

import (
	"encoding/hex"
	"testing"
)

const (
	carriedMACs = "020000000002020000000001"
	ipv4UDP     = carriedMACs + "0800" + "4500002000000000" + "4011" + "0000" + "0a000001" + "0a000002"
	ipv4TCP     = carriedMACs + "0800" + "4500002a00000000" + "4006" + "0000" + "0a000001" + "0a000002"
	ipv6UDP     = carriedMACs + "86dd" + "60000000" + "000c" + "1140" +
		"20010db8000000000000000000000001" + "20010db8000000000000000000000002"
	udpHeader = "100020000" + "00c0000"
	tcpHeader = "1000200000000001" + "00000002" + "5010ffff00000000"
)

func TestCarried(t *testing.T) {
	for _, test := range []struct{ name, frame, want string }{
		{"udp", ipv4UDP + udpHeader + "61626364", "abcd"},
		{"udp with padding", ipv4UDP + udpHeader + "61626364" + "00000000", "abcd"},
		{"udp cut off", ipv4UDP + udpHeader + "6162", "ab"},
		{"udp over IPv6", ipv6UDP + udpHeader + "61626364" + "0000", "abcd"},
		{"tcp with padding", ipv4TCP + tcpHeader + "6869" + "00000000", "hi"},
		{"tcp without data", ipv4TCP + tcpHeader, ""},
		{"tcp header cut off", ipv4TCP + "10002000", ""},
		{"arp", carriedMACs + "0806" + "0001080006040001", ""},
		{"ipv4 alone", ipv4UDP, ""},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			frame, err := hex.DecodeString(test.frame)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(Carried(frame)); got != test.want {
				t.Errorf("%q is carried, want %q", got, test.want)
			}
		})
	}
}

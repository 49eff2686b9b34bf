package report

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Scapy returns repro.py: the packets of a finding as scapy's layers, every field given,
// so that lengths and checksums stay as wrong as they are. What scapy would write in
// another way is raw bytes. It needs to be a finding of frames.
func Scapy(f *triage.Finding) string {
	var s strings.Builder
	s.WriteString("#!/usr/bin/env python3\n")
	s.WriteString(comment("#", fmt.Sprintf(`%s: %s

The packets of this finding in scapy, each the same bytes as in "input":

    python3 repro.py [FILE]      shows them, or writes a capture
    python3 -i repro.py          to change them`, f.Oracle, f.Title)))
	s.WriteString("import sys\n\nfrom scapy.all import *\n\npackets = [\n")
	for i := range f.Input.Steps {
		fmt.Fprintf(&s, "    %s,\n", scapyPacket(f.Input.Steps[i].Packet))
	}
	s.WriteString("]\n\n# The bytes that the fuzzer gave the program.\nfound = [\n")
	for i := range f.Input.Steps {
		fmt.Fprintf(&s, "    bytes.fromhex(%q),\n", hex.EncodeToString(f.Input.Steps[i].Packet))
	}
	s.WriteString(`]

if __name__ == "__main__":
    for number, (packet, want) in enumerate(zip(packets, found)):
        if bytes(packet) != want:
            sys.exit(f"step {number}: scapy builds {bytes(packet).hex()}, found was {want.hex()}")
    if len(sys.argv) > 1:
        wrpcap(sys.argv[1], packets, linktype=1)
    else:
        for packet in packets:
            packet.show()
`)
	return s.String()
}

// scapyPacket writes a frame as an expression.
func scapyPacket(b []byte) string {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	var parts []string
	end := 0
	for i := range l.N {
		h := l.Headers[i]
		if h.Off != end {
			break
		}
		expr, size := scapyLayer(h.Layer, b[h.Off:h.End()])
		if size == 0 {
			break
		}
		parts = append(parts, expr)
		end += size
		if size < h.Len { // options, as they are
			parts = append(parts, scapyRaw(b[end:h.End()]))
			end = h.End()
		}
	}
	if end < len(b) || len(parts) == 0 {
		parts = append(parts, scapyRaw(b[end:]))
	}
	return strings.Join(parts, " / ")
}

func scapyRaw(b []byte) string { return fmt.Sprintf("Raw(bytes.fromhex(%q))", hex.EncodeToString(b)) }

// scapyLayer writes a header and says how many of its bytes it stands for; 0 means that
// there is no such layer, or not one with these contents.
func scapyLayer(layer packet.Layer, b []byte) (expr string, size int) {
	size = layer.MinLen()
	if layer == packet.ARP {
		size = arpSize
	}
	if len(b) < size {
		return "", 0
	}
	v := func(name string) uint64 {
		n, _ := packet.FieldByName(layer, name).Get(b)
		return n
	}
	switch layer {
	case packet.Ethernet:
		return fmt.Sprintf("Ether(dst=%q, src=%q, type=%#x)", mac(b[0:]), mac(b[6:]), v("h_proto")), size
	case packet.VLAN:
		if v("dei") != 0 { // the field's name depends on scapy's version
			return "", 0
		}
		return fmt.Sprintf("Dot1Q(prio=%d, vlan=%d, type=%#x)", v("pcp"), v("vid"), v("proto")), size
	case packet.ARP:
		return scapyARP(b, v)
	case packet.IPv4:
		return fmt.Sprintf("IP(version=%d, ihl=%d, tos=%#x, len=%d, id=%d, flags=%d, frag=%d, ttl=%d, proto=%d, chksum=%#x, src=%q, dst=%q)",
			v("version"), v("ihl"), v("tos"), v("tot_len"), v("id"), v("frag_off")>>13, v("frag_offset"), v("ttl"), v("protocol"), v("check"), address(b[12:16]), address(b[16:20])), size
	case packet.IPv6:
		return fmt.Sprintf("IPv6(version=%d, tc=%d, fl=%#x, plen=%d, nh=%d, hlim=%d, src=%q, dst=%q)",
			v("version"), v("tclass"), v("flow_lbl"), v("payload_len"), v("nexthdr"), v("hop_limit"), address(b[8:24]), address(b[24:40])), size
	case packet.TCP:
		return fmt.Sprintf("TCP(sport=%d, dport=%d, seq=%d, ack=%d, dataofs=%d, reserved=%d, flags=%#x, window=%d, chksum=%#x, urgptr=%d, options=[])",
			v("source"), v("dest"), v("seq"), v("ack_seq"), v("doff"), v("res1")>>1, v("res1")&1<<8|v("flags"), v("window"), v("check"), v("urg_ptr")), size
	case packet.UDP:
		return fmt.Sprintf("UDP(sport=%d, dport=%d, len=%d, chksum=%#x)", v("source"), v("dest"), v("len"), v("check")), size
	case packet.ICMPv4:
		if typ := v("type"); typ != 0 && typ != 8 {
			return "", 0 // other types have other fields
		}
		return fmt.Sprintf("ICMP(type=%d, code=%d, chksum=%#x, id=%d, seq=%d)", v("type"), v("code"), v("checksum"), v("id"), v("sequence")), size
	}
	return "", 0
}

// arpSize is the length of ARP for Ethernet and IPv4.
const arpSize = 28

func scapyARP(b []byte, v func(string) uint64) (string, int) {
	if v("ar_hln") != 6 || v("ar_pln") != 4 || v("ar_hrd") != 1 || v("ar_pro") != 0x0800 {
		return "", 0 // addresses of other lengths
	}
	return fmt.Sprintf("ARP(hwtype=1, ptype=0x800, hwlen=6, plen=4, op=%d, hwsrc=%q, psrc=%q, hwdst=%q, pdst=%q)",
		v("ar_op"), mac(b[8:]), address(b[14:18]), mac(b[18:]), address(b[24:28])), arpSize
}

func mac(b []byte) string { return net.HardwareAddr(b[:6]).String() }

func address(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

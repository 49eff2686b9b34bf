package bpf

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Packets of several pages run, and come back in full, for programs that declare
// that they can take them.
func TestPacketsInFragments(t *testing.T) {
	target := newExample(t, "xdp", "xdp_edit")
	largest, linear := target.Shape().Packet.Max, target.linear
	if plain := newExample(t, "xdp", "xdp_meta").Shape().Packet.Max; plain != linear || largest <= linear {
		t.Fatalf("packets have up to %d bytes, %d in the linear part, and %d without fragments", largest, linear, plain)
	}
	const farthest = 0xffff // offset that bpf_xdp_store_bytes takes
	const (
		keep = iota
		shrink
		grow
	)
	mark := []byte{0xca, 0xfe, 0xba, 0xbe}
	onExecutor(t, target, func(e *executor) {
		for _, tt := range []struct {
			size    int
			how     byte
			verdict uint32
			out     int
		}{
			{60, keep, 3, 60},
			{linear, keep, 3, linear},
			{linear + 1, keep, 3, linear + 1}, // the mark lies across the boundary
			{linear + 2, keep, 3, linear + 2},
			{20000, keep, 3, 20000},
			{farthest + 4, keep, 3, farthest + 4},
			{farthest + 5, keep, 0, farthest + 5}, // what the helper refuses
			{largest, keep, 0, largest},
			{60, shrink, 0, 60},
			{linear + 2000, shrink, 3, linear + 1000},
			{linear + 500, shrink, 3, linear - 500},
			{20000, shrink, 3, 19000},
			{linear + 500, grow, 3, linear + 600},
			{20000, grow, 3, 20100},
		} {
			for _, wanted := range []corpus.Have{0, corpus.HaveContext} {
				t.Run(fmt.Sprintf("%d/%d/%d", tt.size, tt.how, wanted), func(t *testing.T) {
					packet := patterned(tt.size)
					packet[14] = tt.how
					out, err := e.Alone(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}, wanted)
					if err != nil {
						t.Fatal(err)
					}
					step := &out.Steps[0]
					if step.Errno != 0 || step.Ret != tt.verdict || len(step.Packet) != tt.out {
						t.Fatalf("%v, verdict %d, %d bytes; want %d and %d bytes", step.Errno, step.Ret, len(step.Packet), tt.verdict, tt.out)
					}
					want := packet
					if tt.size <= farthest+len(mark) {
						want = append(packet[:len(packet)-len(mark):len(packet)-len(mark)], mark...)
					}
					if n := min(len(want), tt.out); !bytes.Equal(step.Packet[:n], want[:n]) {
						t.Error("the bytes that come back are others than the program left")
					}
				})
			}
		}
		tooLarge := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, largest+1)}}}
		if out, err := e.Alone(t.Context(), tooLarge, 0); err != nil || out.Steps[0].Errno != unix.ENOMEM {
			t.Errorf("a packet of %d bytes: %v, %v; the limit is lower than the kernel's", largest+1, out.Steps[0].Errno, err)
		}
	})
}

// patterned returns a packet in which no byte is like the one a page before it.
func patterned(size int) []byte {
	packet := make([]byte, size)
	for i := range packet {
		packet[i] = byte(i % 251)
	}
	return packet
}

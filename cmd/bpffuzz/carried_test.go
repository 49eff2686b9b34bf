package main

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// TestUnwrapped: captured frames become what they carry where the program takes
// payload, and nothing else changes.
func TestUnwrapped(t *testing.T) {
	frame, err := hex.DecodeString("0200000000020200000000010800" + "4500002000000000401100000a0000010a000002" + "10002000000c0000" + "61626364")
	if err != nil {
		t.Fatal(err)
	}
	all := []named{
		{in: packets(string(frame)), frames: true},
		{in: packets("no frame"), frames: true},
		{in: packets("as it is")},
	}
	var said strings.Builder
	u := &ui{stderr: &said}
	payload := &corpus.Shape{Type: "sk_msg", Packet: corpus.Bounds{Min: 1, Max: 4096}, Payload: true}
	got := unwrapped(u, "seeds", payload, all)
	if len(got) != 2 || string(got[0].in.Steps[0].Packet) != "abcd" || string(got[1].in.Steps[0].Packet) != "as it is" {
		t.Errorf("%d inputs are left of a frame with payload, one without and a file", len(got))
	}
	if want := "what 2 frames of seeds carry over TCP or UDP is taken, and 1 carry nothing"; !strings.Contains(said.String(), want) {
		t.Errorf("said %q, want %q", said.String(), want)
	}
	payload.Payload = false
	if got := unwrapped(u, "seeds", payload, all); len(got) != 3 {
		t.Errorf("%d of 3 inputs are left for a program that takes frames", len(got))
	}
}

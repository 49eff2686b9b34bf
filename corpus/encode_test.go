package corpus

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func randomInput(rng *rand.Rand) *Input {
	random := func(n int) []byte {
		var b []byte
		for range rng.IntN(n) {
			b = append(b, byte(rng.Uint32()))
		}
		return b
	}
	in := &Input{}
	for range rng.IntN(3) {
		in.Maps = append(in.Maps, MapEntry{Map: string(random(8)), Key: random(9), Value: random(20)})
	}
	for range 1 + rng.IntN(4) {
		in.Steps = append(in.Steps, Step{
			Packet: random(90), Meta: random(9), Context: random(60), Chance: random(5),
			CPU: int32(rng.Uint32()), Flags: rng.Uint32(), Fault: rng.Uint32(),
		})
	}
	return in
}

func TestEncodeDecode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		in := randomInput(rng)
		if got := Decode(Encode(in)); !got.Equal(in) {
			t.Fatalf("Decode(Encode(in)) = %+v, want %+v", got, in)
		}
		file, err := UnmarshalFile(MarshalFile(in))
		if err != nil {
			t.Fatal(err)
		}
		if !file.Equal(in) {
			t.Fatalf("UnmarshalFile(MarshalFile(in)) = %+v, want %+v", file, in)
		}
	}
}

func TestEncodeLimits(t *testing.T) {
	if got := Decode(Encode(&Input{})); len(got.Steps) != 1 {
		t.Errorf("an input without steps decodes to %d steps, want 1", len(got.Steps))
	}
	if got := Decode(Encode(&Input{Steps: make([]Step, 300)})); len(got.Steps) != maxSteps {
		t.Errorf("300 steps decode to %d, want %d", len(got.Steps), maxSteps)
	}
	if got := Decode(Encode(&Input{Maps: make([]MapEntry, 300)})); len(got.Maps) != MaxMapEntries {
		t.Errorf("300 map entries decode to %d, want %d", len(got.Maps), MaxMapEntries)
	}
}

// FuzzDecode checks that decoding is total and that what it gives is a fixed point.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		f.Add(Encode(randomInput(rng)))
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := Decode(b)
		if len(in.Steps) == 0 {
			t.Fatal("no steps")
		}
		if in.Len() > len(b) {
			t.Fatalf("%d bytes of payload from %d bytes", in.Len(), len(b))
		}
		if again := Decode(Encode(in)); !again.Equal(in) {
			t.Fatalf("Decode(Encode(in)) = %+v, want %+v", again, in)
		}
	})
}

// FuzzEncodeDecode checks that decoding what was encoded gives the same input: a map
// entry, and steps that differ.
func FuzzEncodeDecode(f *testing.F) {
	f.Add(uint8(0), "", []byte{}, []byte{}, []byte("packet"), []byte{}, []byte{}, []byte{}, int32(0), uint32(0), uint32(0))
	f.Add(uint8(3), "map", []byte("key"), []byte("value"), bytes.Repeat([]byte{0xff}, 300), []byte("meta"), []byte("context"), []byte("chance"), int32(-1), uint32(OnCPU), uint32(1<<31))
	f.Fuzz(func(t *testing.T, more uint8, name string, key, value, packet, meta, context, chance []byte, cpu int32, flags, fault uint32) {
		in := &Input{Steps: []Step{{Packet: packet, Meta: meta, Context: context, Chance: chance, CPU: cpu, Flags: flags, Fault: fault}}}
		for i := range more {
			in.Steps = append(in.Steps, Step{Packet: packet[:min(int(i), len(packet))], Chance: meta, CPU: int32(i)})
		}
		if name != "" {
			in.Maps = []MapEntry{{Map: name, Key: key, Value: value}, {Map: name, Key: value, Value: key}}
		}
		if got := Decode(Encode(in)); !got.Equal(in) {
			t.Fatalf("Decode(Encode(in)) = %+v, want %+v", got, in)
		}
	})
}

func FuzzUnmarshalFile(f *testing.F) {
	f.Add(MarshalFile(&Input{Steps: []Step{{Packet: []byte("abc")}}}))
	f.Add([]byte("go test fuzz v1\n[]byte(\"\\xff"))
	f.Add([]byte("go test fuzz v1\nstring(\"a\")\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := UnmarshalFile(b)
		if err == nil && len(in.Steps) == 0 {
			t.Fatal("no steps and no error")
		}
	})
}

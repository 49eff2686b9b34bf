package corpus

import (
	"math/rand/v2"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

func TestCorpusKeepsOnlyWhatIsNew(t *testing.T) {
	c := New(8)
	if c.Snapshot().Pick(1) != nil {
		t.Error("picked something from an empty corpus")
	}
	features := func(bits ...byte) []byte { return append(bits, make([]byte, 8-len(bits))...) }
	for _, test := range []struct {
		name     string
		features []byte
		want     bool
	}{
		{"first edge", features(1), true},
		{"same edge", features(1), false},
		{"nothing", features(), false},
		{"second edge", features(1, 1), true},
		{"loop bucket", features(0, 0, 2), true},
		{"another bucket of the loop", features(0, 0, 4), true},
		{"both buckets", features(0, 0, 6), false},
	} {
		in := step(test.name)
		if _, got := c.Add(in, test.features); got != test.want {
			t.Errorf("%s: Add = %v, want %v", test.name, got, test.want)
		}
		in.Steps[0].Packet[0] = '!'
	}
	s := c.Snapshot()
	if s.Len() != 4 {
		t.Fatalf("%d entries, want 4", s.Len())
	}
	if got := string(s.Entries()[0].Input.Steps[0].Packet); got != "first edge" {
		t.Errorf("entry changed with the caller's input: %q", got)
	}
}

func TestPickPrefersRareAndRecent(t *testing.T) {
	c := New(64)
	common := make([]byte, 64)
	common[0] = 1
	for i := range 32 {
		f := make([]byte, 64)
		f[0], f[i+1] = 1, 1
		c.Add(step("x"), f)
	}
	rare := make([]byte, 64)
	for i := 40; i < 64; i++ {
		rare[i] = 1
	}
	entry, _ := c.Add(step("rare"), rare)
	for i := range 7 { // and seven newer ones
		f := make([]byte, 64)
		f[0], f[33+i] = 1, 1
		c.Add(step("new"), f)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	picks := map[*Entry]int{}
	s := c.Snapshot()
	for range 100_000 {
		picks[s.Pick(rng.Uint64())]++
	}
	old, newest := s.Entries()[0], s.Entries()[s.Len()-1]
	if picks[entry] < 5*picks[old] {
		t.Errorf("the entry with 24 branches of its own was picked %d times, one with a single branch %d times", picks[entry], picks[old])
	}
	if picks[newest] < 3*picks[old] {
		t.Errorf("the newest entry was picked %d times, an old one %d times", picks[newest], picks[old])
	}
	if len(picks) != s.Len() {
		t.Errorf("%d of %d entries were ever picked", len(picks), s.Len())
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	c := New(8)
	c.Add(step("a"), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	s := c.Snapshot()
	if n := testing.AllocsPerRun(100, func() { s.Pick(1 << 63) }); n != 0 {
		t.Errorf("Pick allocates %v times", n)
	}
}

func TestShapeCheck(t *testing.T) {
	shape := &Shape{Type: "xdp", Packet: Bounds{14, 100}, MinIPv4: 34, MinIPv6: 54, Meta: Bounds{0, 8}, ContextSize: 24, MaxSteps: 2, Maps: []MapShape{{Name: "m", KeySize: 4, ValueSize: 8}}}
	packet := func(n int, ethertype ...byte) []byte {
		b := make([]byte, n)
		copy(b[min(12, n):], ethertype)
		return b
	}
	for name, test := range map[string]struct {
		in *Input
		ok bool
	}{
		"smallest":          {&Input{Steps: []Step{{Packet: packet(14)}}}, true},
		"largest":           {&Input{Steps: []Step{{Packet: packet(100)}}}, true},
		"too small":         {&Input{Steps: []Step{{Packet: packet(13)}}}, false},
		"too large":         {&Input{Steps: []Step{{Packet: packet(101)}}}, false},
		"short IPv4":        {&Input{Steps: []Step{{Packet: packet(33, 8, 0)}}}, false},
		"IPv4":              {&Input{Steps: []Step{{Packet: packet(34, 8, 0)}}}, true},
		"short IPv6":        {&Input{Steps: []Step{{Packet: packet(53, 0x86, 0xdd)}}}, false},
		"metadata":          {&Input{Steps: []Step{{Packet: packet(14), Meta: make([]byte, 8)}}}, true},
		"odd metadata":      {&Input{Steps: []Step{{Packet: packet(14), Meta: make([]byte, 3)}}}, false},
		"too much metadata": {&Input{Steps: []Step{{Packet: packet(14), Meta: make([]byte, 12)}}}, false},
		"context":           {&Input{Steps: []Step{{Packet: packet(14), Context: make([]byte, 24)}}}, true},
		"short context":     {&Input{Steps: []Step{{Packet: packet(14), Context: make([]byte, 4)}}}, false},
		"map entry":         {&Input{Maps: []MapEntry{{Map: "m", Key: make([]byte, 4), Value: make([]byte, 8)}}, Steps: []Step{{Packet: packet(14)}}}, true},
		"short key":         {&Input{Maps: []MapEntry{{Map: "m", Key: make([]byte, 3), Value: make([]byte, 8)}}, Steps: []Step{{Packet: packet(14)}}}, false},
		"short value":       {&Input{Maps: []MapEntry{{Map: "m", Key: make([]byte, 4)}}, Steps: []Step{{Packet: packet(14)}}}, false},
		"unknown map":       {&Input{Maps: []MapEntry{{Map: "n", Key: make([]byte, 4), Value: make([]byte, 8)}}, Steps: []Step{{Packet: packet(14)}}}, false},
		"three steps":       {&Input{Steps: []Step{{Packet: packet(14)}, {Packet: packet(14)}, {Packet: packet(14)}}}, false},
	} {
		if err := shape.Check(test.in); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInputCopyFromStaysInPlace(t *testing.T) {
	slot := make([]byte, 4, 8)
	in := &Input{Steps: make([]Step, 0, 2)}
	in.Steps[:1][0].Packet = slot
	in.CopyFrom(&Input{Steps: []Step{{Packet: []byte("0123456789"), CPU: 3}, {}, {}}})
	if len(in.Steps) != 2 {
		t.Errorf("%d steps, want the 2 that fit", len(in.Steps))
	}
	if got := in.Steps[0].Packet; string(got) != "01234567" || &got[0] != &slot[0] {
		t.Errorf("packet %q is not what fits in the slot", got)
	}
	if in.Grow() != nil {
		t.Error("grew beyond the capacity")
	}
}

func TestBucket(t *testing.T) {
	for count, want := range map[uint32]byte{0: 0, 1: 1, 2: 2, 3: 2, 4: 4, 7: 4, 8: 8, 127: 64, 128: 128, 1 << 31: 128} {
		if got := cover.Bucket(count); got != want {
			t.Errorf("Bucket(%d) = %d, want %d", count, got, want)
		}
	}
}

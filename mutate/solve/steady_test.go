package solve

import (
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// An operand that is another in each run is not solved for; the one beside it is.
func TestOperandsThatFlakeAreLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name   string
		chance []string
		runs   int
	}{
		{"time and chance", []string{"bpf_ktime_get_ns"}, 2},
		{"neither", nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := uint64(1000)
			site := func(offset int) cover.Comparison {
				return cover.Comparison{Relation: cover.Equal, Size: 4, A: cover.Operand{Source: cover.PacketBytes, Offset: offset, Size: 4}}
			}
			p := &program{
				sites: []cover.Comparison{site(4), site(8)},
				operands: func(i int, packet []byte) (uint64, uint64) {
					if i == 0 {
						clock++
						return uint64(binary.NativeEndian.Uint32(packet[4:])), clock
					}
					return uint64(binary.NativeEndian.Uint32(packet[8:])), 0x1234
				},
			}
			s := p.solver()
			s.shape = &corpus.Shape{Type: "xdp", Packet: packets.Packet, MaxSteps: 1, Chance: test.chance}
			compared, _, err := s.twice(t.Context(), onePacket(14))
			if err != nil {
				t.Fatal(err)
			}
			if want := 3 - test.runs; len(compared) != want || compared[len(compared)-1].Site != 1 || s.Stats().Runs != uint64(test.runs) {
				t.Errorf("%+v after %d runs, want %d of them", compared, s.Stats().Runs, want)
			}
			if err := s.Solve(t.Context(), onePacket(14)); err != nil {
				t.Fatal(err)
			}
			if p.sides[1] != [2]bool{true, true} {
				t.Errorf("the comparison that does not flake went %v", p.sides[1])
			}
		})
	}
}

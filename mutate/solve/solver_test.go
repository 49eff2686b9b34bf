package solve

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// program compares something of a packet at each of its sites, in order.
type program struct {
	sites    []cover.Comparison
	operands func(site int, packet []byte) (a, b uint64)
	loops    int // how often a run comes by

	sides [][2]bool
	tried int
}

func (p *program) Compare(_ context.Context, in *corpus.Input) (list []cover.Compared, _ []cover.Lookup, _ error) {
	for range max(p.loops, 1) {
		for i := range p.sites {
			a, b := p.operands(i, in.Steps[0].Packet)
			p.sides[i][index(p.sites[i].Holds(a, b))] = true
			list = append(list, cover.Compared{Site: i, A: a, B: b})
		}
	}
	return list, nil, nil
}

func (p *program) Try(ctx context.Context, in *corpus.Input) error {
	p.tried++
	_, _, err := p.Compare(ctx, in)
	return err
}

func (p *program) Open(site int, taken bool) bool { return !p.sides[site][index(taken)] }

var packets = &corpus.Shape{Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 1500}, MaxSteps: 1}

func (p *program) solver() *Solver {
	p.sides = make([][2]bool, len(p.sites))
	return New(packets, &cover.Table{Comparisons: p.sites}, p, Options{})
}

func onePacket(n int) *corpus.Input {
	return &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, n)}}}
}

func TestEveryRelationIsSolvedFromTheOperands(t *testing.T) {
	for r := cover.Equal; r <= cover.AnyBit; r++ {
		for _, signed := range []bool{false, true} {
			for _, size := range []int{4, 8} {
				for _, constant := range []uint64{1, 0x80, 0x7fffffff, 0x80000000, 0xfffffff0} {
					p := &program{
						sites: []cover.Comparison{{
							Relation: r, Size: size, Signed: signed, Constant: true,
							A: cover.Operand{Source: cover.PacketBytes, Offset: 4, Size: 4},
						}},
						operands: func(_ int, packet []byte) (uint64, uint64) {
							return uint64(binary.NativeEndian.Uint32(packet[4:])), constant
						},
					}
					if err := p.solver().Solve(t.Context(), onePacket(14)); err != nil {
						t.Fatal(err)
					}
					// Nothing is less than the least number, or more than the greatest.
					impossible := signed && size == 4 && (constant == 0x80000000 && (r == cover.Less || r == cover.GreaterEqual) ||
						constant == 0x7fffffff && (r == cover.Greater || r == cover.LessEqual))
					if p.sides[0] != [2]bool{true, true} && !impossible {
						t.Errorf("A %s %#x of %d bytes, signed %v: went %v", r, constant, size, signed, p.sides[0])
					}
				}
			}
		}
	}
}

func TestLengthsAreSolved(t *testing.T) {
	for name, swapped := range map[string]bool{"place first": false, "end first": true} {
		t.Run(name, func(t *testing.T) {
			p := &program{
				sites: []cover.Comparison{{Relation: cover.Greater, Size: 8, Length: true, Swapped: swapped}},
				operands: func(_ int, packet []byte) (uint64, uint64) {
					if swapped {
						return uint64(len(packet)), 321
					}
					return 321, uint64(len(packet))
				},
			}
			for _, n := range []int{14, 1500} {
				s := p.solver()
				if err := s.Solve(t.Context(), onePacket(n)); err != nil {
					t.Fatal(err)
				}
				if p.sides[0] != [2]bool{true, true} || s.Stats().Solved != 1 {
					t.Errorf("from %d bytes: went %v, %d solved", n, p.sides[0], s.Stats().Solved)
				}
			}
		})
	}
}

func TestLengthInAComputationIsSolved(t *testing.T) {
	p := &program{
		sites: []cover.Comparison{{
			Relation: cover.Equal, Size: 8, Constant: true,
			A: cover.Operand{Source: cover.PacketLength, Size: 4, Transforms: []cover.Transform{step(cover.Add, ^uint64(13)), step(cover.Rsh, 2)}},
		}},
		operands: func(_ int, packet []byte) (uint64, uint64) { return uint64(len(packet)-14) >> 2, 77 },
	}
	if err := p.solver().Solve(t.Context(), onePacket(60)); err != nil {
		t.Fatal(err)
	}
	if !p.sides[0][1] {
		t.Error("no packet of that length was tried")
	}
}

func TestLoopCountersAreLeftAlone(t *testing.T) {
	n := uint64(0)
	p := &program{
		loops: 8, sites: []cover.Comparison{{Relation: cover.Greater, Size: 8, Constant: true, A: cover.Operand{Source: cover.PacketBytes, Offset: 0, Size: 1}}},
		operands: func(int, []byte) (uint64, uint64) { n++; return n, 1000 },
	}
	s := p.solver()
	if err := s.Solve(t.Context(), onePacket(14)); err != nil {
		t.Fatal(err)
	}
	if p.tried != 0 || s.Pending() {
		t.Errorf("%d inputs were tried for a loop counter", p.tried)
	}
}

func TestNothingComparedIsNothingToDo(t *testing.T) {
	p := &program{}
	s := p.solver()
	if err := s.Solve(t.Context(), onePacket(14)); err != nil || s.Pending() || p.tried != 0 {
		t.Errorf("%v, %d inputs tried", err, p.tried)
	}
	if s.Sweep(onePacket(14)) {
		t.Error("there is something to sweep")
	}
}

func TestEliminate(t *testing.T) {
	rows := []equation{{effect: 0b0011}, {effect: 0b0110}, {effect: 0b0101}, {effect: 0b1000}}
	for i := range rows {
		rows[i].bits[0] = 1 << i
	}
	for want, solvable := range map[uint64]bool{0b1011: true, 0b0110: true, 0: true, 0b0001: false, 0b1111: false, 0b1110: true} {
		chosen, ok := eliminate(append([]equation(nil), rows...), want)
		if ok != solvable {
			t.Errorf("%04b: solvable %v", want, ok)
			continue
		}
		sum := uint64(0)
		for i := range rows {
			if chosen[0]>>i&1 != 0 {
				sum ^= rows[i].effect
			}
		}
		if ok && sum != want {
			t.Errorf("%04b: the chosen rows give %04b", want, sum)
		}
	}
}

package cover

import "testing"

func TestComparisonHolds(t *testing.T) {
	minusOne, big := ^uint64(0), uint64(1)<<32
	tests := []struct {
		name string
		c    Comparison
		a, b uint64
		want bool
	}{
		{"equal", Comparison{Relation: Equal, Size: 8}, 7, 7, true},
		{"equal in the lower half", Comparison{Relation: Equal, Size: 4}, big | 7, 7, true},
		{"different in the upper half", Comparison{Relation: Equal, Size: 8}, big | 7, 7, false},
		{"unsigned", Comparison{Relation: Less, Size: 8}, minusOne, 1, false},
		{"signed", Comparison{Relation: Less, Size: 8, Signed: true}, minusOne, 1, true},
		{"signed, four bytes", Comparison{Relation: Less, Size: 4, Signed: true}, 0xffffffff, 1, true},
		{"signed, sign in the lower half only", Comparison{Relation: Less, Size: 8, Signed: true}, 0xffffffff, 1, false},
		{"at most", Comparison{Relation: LessEqual, Size: 8}, 4, 4, true},
		{"greater", Comparison{Relation: Greater, Size: 8}, 4, 4, false},
		{"at least", Comparison{Relation: GreaterEqual, Size: 8}, 4, 4, true},
		{"bits", Comparison{Relation: AnyBit, Size: 8}, 6, 2, true},
		{"no common bit", Comparison{Relation: AnyBit, Size: 8}, 6, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.Holds(tt.a, tt.b); got != tt.want {
				t.Errorf("Holds(%#x, %#x) = %v", tt.a, tt.b, got)
			}
			if got := tt.c.holds(tt.c.Relation.Negated(), tt.a, tt.b); got == tt.want {
				t.Errorf("the negation holds as well as the relation, or neither")
			}
		})
	}
}

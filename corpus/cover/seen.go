package cover

import (
	"encoding/binary"
	mathbits "math/bits"
)

func bits(n uint32) int { return mathbits.Len32(n) }

// Seen is the union of the feature vectors of many runs. It is not safe for
// concurrent use; workers keep a copy each and merge it into a shared one when
// they find something.
type Seen struct{ bytes []byte }

// NewSeen returns an empty union of feature vectors of n bytes, a multiple of 8.
func NewSeen(n int) *Seen {
	if n%8 != 0 {
		panic("cover: feature vector length is not a multiple of 8")
	}
	return &Seen{bytes: make([]byte, n)}
}

// Adds reports whether features has a bit that s lacks. It reads eight bytes at
// a time and does not allocate.
func (s *Seen) Adds(features []byte) bool {
	seen := s.bytes[:len(features)]
	for i := 0; i+8 <= len(features); i += 8 {
		if binary.LittleEndian.Uint64(features[i:])&^binary.LittleEndian.Uint64(seen[i:]) != 0 {
			return true
		}
	}
	return false
}

// Merge adds features to s and returns how many bits were new.
func (s *Seen) Merge(features []byte) int {
	added := 0
	for i := 0; i+8 <= len(features); i += 8 {
		old := binary.LittleEndian.Uint64(s.bytes[i:])
		all := old | binary.LittleEndian.Uint64(features[i:])
		added += mathbits.OnesCount64(all &^ old)
		binary.LittleEndian.PutUint64(s.bytes[i:], all)
	}
	return added
}

// Bytes returns the union itself, a feature vector that the caller must not change.
func (s *Seen) Bytes() []byte { return s.bytes }

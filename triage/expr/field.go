package expr

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// order returns the byte order of a field.
func order(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.NativeEndian
}

// fieldValue reads a field; it is unknown where b ends before it does.
func fieldValue(f *corpus.Field, b []byte) num {
	if f.Offset < 0 || f.Offset > len(b) || f.Size > len(b)-f.Offset {
		return num{}
	}
	return load(b[f.Offset:], f.Size, f.Big)
}

// load reads an integer of 1, 2, 4 or 8 bytes from the start of b, which has them.
func load(b []byte, size int, big bool) num {
	switch size {
	case 1:
		return natural(uint64(b[0]))
	case 2:
		return natural(uint64(order(big).Uint16(b)))
	case 4:
		return natural(uint64(order(big).Uint32(b)))
	case 8:
		return natural(order(big).Uint64(b))
	}
	return num{}
}

// store writes an integer of 1, 2, 4 or 8 bytes to the start of b and reports
// whether it fits. Negative numbers fit as two's complement.
func store(b []byte, n num, size int, big bool) bool {
	if size < 1 || len(b) < size || !fits(n, size*8) {
		return false
	}
	switch size {
	case 1:
		b[0] = byte(n.bits)
	case 2:
		order(big).PutUint16(b, uint16(n.bits))
	case 4:
		order(big).PutUint32(b, uint32(n.bits))
	case 8:
		order(big).PutUint64(b, n.bits)
	default:
		return false
	}
	return true
}

// fits reports whether n can be stored in so many bits.
func fits(n num, width int) bool {
	switch n.sign {
	case plus:
		return width >= 64 || n.bits>>width == 0
	case minus:
		return -n.bits <= 1<<(width-1)
	}
	return false
}

func fieldNames(fields []corpus.Field) []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}

func fieldByName(fields []corpus.Field, name string) *corpus.Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

package packet

// Kind says what a field means to those who repair or break packets.
type Kind uint8

const (
	// Plain fields mean nothing to the structure of the packet.
	Plain Kind = iota
	// Length fields say how long a header or a datagram is.
	Length
	// Check fields are checksums.
	Check
	// Next fields select the following header.
	Next
	// Address fields are an address or half of one.
	Address
	// Port fields are transport ports.
	Port
)

// Field is a big-endian bit field of a header. Tables of fields are shared: do
// not write to them.
type Field struct {
	// Name is the kernel's name for it where there is one ("tot_len", "frag_off").
	Name string
	// Bit is where the field starts, counted from the header's first bit; Bits is
	// its width, 1 to 64. The field touches at most 8 bytes.
	Bit, Bits int
	Kind      Kind
	// Values are boundary values worth trying.
	Values []uint64
}

// Max returns the largest value of the field.
func (f *Field) Max() uint64 { return ^uint64(0) >> (64 - uint(f.Bits)) }

// span returns the bytes of the header that the field touches, and how many
// bits lie behind the field in the last one.
func (f *Field) span(header []byte) (bytes []byte, shift uint, ok bool) {
	from, to := f.Bit>>3, (f.Bit+f.Bits+7)>>3
	if to > len(header) || to-from > 8 {
		return nil, 0, false
	}
	return header[from:to], uint(to*8 - f.Bit - f.Bits), true
}

// Get returns the field's value; ok is false where the header ends before the
// field does.
func (f *Field) Get(header []byte) (v uint64, ok bool) {
	bytes, shift, ok := f.span(header)
	if !ok {
		return 0, false
	}
	for _, c := range bytes {
		v = v<<8 | uint64(c)
	}
	return v >> shift & f.Max(), true
}

// Set stores the low bits of v and reports whether the header has the field.
func (f *Field) Set(header []byte, v uint64) bool {
	bytes, shift, ok := f.span(header)
	if !ok {
		return false
	}
	v = (v & f.Max()) << shift
	mask := f.Max() << shift
	for i := len(bytes) - 1; i >= 0; i-- {
		bytes[i] = bytes[i]&^byte(mask) | byte(v)
		v, mask = v>>8, mask>>8
	}
	return true
}

// FieldByName returns the layer's field of that name, or nil.
func FieldByName(layer Layer, name string) *Field {
	fields := Fields(layer)
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

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

// has reports whether the header reaches to the field's end.
func (f *Field) has(header []byte) bool {
	return f.Bit+f.Bits <= len(header)*8 && (f.Bit+f.Bits+7)>>3-f.Bit>>3 <= 8
}

// window returns 8 bytes of a header of at least 8 that have the field in them,
// and how many bits lie behind it. One load of a fixed size is faster than a loop
// whose length nothing can predict.
func (f *Field) window(header []byte) (bytes []byte, shift uint) {
	from := min(f.Bit>>3, len(header)-8)
	return header[from : from+8], uint((from+8)*8-f.Bit-f.Bits) & 63
}

// Get returns the field's value; ok is false where the header ends before the
// field does.
func (f *Field) Get(header []byte) (v uint64, ok bool) {
	if !f.has(header) {
		return 0, false
	}
	if len(header) < 8 {
		var wide [8]byte
		copy(wide[:], header)
		header = wide[:]
	}
	bytes, shift := f.window(header)
	return be.Uint64(bytes) >> shift & f.Max(), true
}

// Set stores the low bits of v and reports whether the header has the field.
func (f *Field) Set(header []byte, v uint64) bool {
	if !f.has(header) {
		return false
	}
	var wide [8]byte
	short := header
	if len(header) < 8 {
		copy(wide[:], header)
		header = wide[:]
	}
	bytes, shift := f.window(header)
	mask := f.Max() << shift
	be.PutUint64(bytes, be.Uint64(bytes)&^mask|v<<shift&mask)
	if len(short) < 8 {
		copy(short, wide[:])
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

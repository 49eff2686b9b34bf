package corpus

import (
	"encoding/binary"

	fuzz "github.com/AdaLogics/go-fuzz-headers"
)

// encodingVersion is the first byte of every encoding.
const encodingVersion = 1

// maxSteps is the largest number of steps that an encoding holds.
const maxSteps = 256

// MaxMapEntries is the largest number of map entries that an encoding holds.
const MaxMapEntries = 255

// Encode writes an input as bytes: the version; the number of map entries in one
// byte and, for each, its map's name, key and value; the number of steps less
// one in one byte and, for each, packet, metadata, context, chance, CPU, flags
// and fault. Strings of bytes have their length in front; all integers are 32
// bits, big-endian.
//
// An input without steps is written as one empty step, one with more than 256
// steps or 255 map entries without the rest.
func Encode(in *Input) []byte {
	return AppendEncode(make([]byte, 0, 16+in.Len()+28*max(len(in.Steps), 1)), in)
}

// AppendEncode appends the encoding of an input to b.
func AppendEncode(b []byte, in *Input) []byte {
	steps, maps := in.Steps[:min(len(in.Steps), maxSteps)], in.Maps[:min(len(in.Maps), MaxMapEntries)]
	if len(steps) == 0 {
		steps = make([]Step, 1)
	}
	b = append(b, encodingVersion, byte(len(maps)))
	for _, e := range maps {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(e.Map))), e.Map...)
		b = appendBytes(b, e.Key)
		b = appendBytes(b, e.Value)
	}
	b = append(b, byte(len(steps)-1))
	for i := range steps {
		s := &steps[i]
		for _, body := range [...][]byte{s.Packet, s.Meta, s.Context, s.Chance} {
			b = appendBytes(b, body)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(s.CPU))
		b = binary.BigEndian.AppendUint32(b, s.Flags)
		b = binary.BigEndian.AppendUint32(b, s.Fault)
	}
	return b
}

func appendBytes(b, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// Decode reads an encoding. It is total: every byte string is some input of at
// least one step, so that engines that mutate encodings blindly can be used. What
// is cut off reads as zero and as empty; a length beyond the end reaches to the
// end; bytes behind the last step are ignored. Decode(Encode(in)) equals in.
func Decode(b []byte) *Input {
	d := decoder{from: fuzz.NewConsumer(b), left: len(b)}
	d.byte() // the version: there is one so far
	in := &Input{}
	for n := d.byte(); n > 0 && d.left > 0; n-- {
		e := MapEntry{Map: string(d.bytes())}
		e.Key, e.Value = d.bytes(), d.bytes()
		in.Maps = append(in.Maps, e)
	}
	in.Steps = append(make([]Step, 0, 1), Step{})
	for n := int(d.byte()) + 1; ; {
		s := &in.Steps[len(in.Steps)-1]
		s.Packet, s.Meta, s.Context, s.Chance = d.bytes(), d.bytes(), d.bytes(), d.bytes()
		s.CPU, s.Flags, s.Fault = int32(d.uint32()), d.uint32(), d.uint32()
		if n--; n == 0 || d.left == 0 {
			return in
		}
		in.Steps = append(in.Steps, Step{})
	}
}

// decoder reads the primitives of an encoding and zero values past its end.
type decoder struct {
	from *fuzz.ConsumeFuzzer
	left int
}

func (d *decoder) byte() byte {
	v, err := d.from.GetByte()
	if err != nil {
		return 0
	}
	d.left--
	return v
}

func (d *decoder) uint32() uint32 {
	if d.left < 4 {
		d.left = 0
		return 0
	}
	v, err := d.from.GetUint32()
	if err != nil {
		return 0
	}
	d.left -= 4
	return v
}

func (d *decoder) bytes() []byte {
	n := int(min(uint64(d.uint32()), uint64(d.left)))
	if n == 0 {
		return nil
	}
	v, err := d.from.GetNBytes(n)
	if err != nil {
		return nil
	}
	d.left -= n
	return v
}

package rewrite

import "fmt"

// moveBTF corrects the offsets of instructions in .BTF.ext: of functions, lines and
// relocations by field.
func (o *object) moveBTF(moves map[int]*move) error {
	var ext, names []byte
	byName := map[string]*move{}
	for i, s := range o.sections {
		switch s.name {
		case ".BTF.ext":
			ext = s.data
		case ".BTF":
			names = o.btfStrings(s.data)
		}
		if m := moves[i]; m != nil {
			byName[s.name] = m
		}
	}
	if ext == nil {
		return nil
	}
	if len(ext) < 24 {
		return fmt.Errorf("section .BTF.ext: %w", errMalformed)
	}
	header := uint64(o.order.Uint32(ext[4:]))
	for at := uint64(8); at+8 <= min(header, 32); at += 8 {
		from, size := header+uint64(o.order.Uint32(ext[at:])), uint64(o.order.Uint32(ext[at+4:]))
		if from+size > uint64(len(ext)) {
			return fmt.Errorf("section .BTF.ext: %w", errMalformed)
		}
		if err := o.moveRecords(ext[from:from+size], names, byName); err != nil {
			return err
		}
	}
	return nil
}

// btfStrings returns the strings of .BTF, nil where it is malformed.
func (o *object) btfStrings(b []byte) []byte {
	if len(b) < 24 {
		return nil
	}
	from := uint64(o.order.Uint32(b[4:])) + uint64(o.order.Uint32(b[16:]))
	size := uint64(o.order.Uint32(b[20:]))
	if from+size > uint64(len(b)) {
		return nil
	}
	return b[from : from+size]
}

// moveRecords corrects a table: the size of records, then for each section its name, how
// many there are, and those, which begin with an offset in bytes.
func (o *object) moveRecords(b, names []byte, byName map[string]*move) error {
	if len(b) < 4 {
		return nil
	}
	size := uint64(o.order.Uint32(b))
	b = b[4:]
	for len(b) >= 8 {
		m := byName[text(names, o.order.Uint32(b))]
		n := uint64(o.order.Uint32(b[4:]))
		b = b[8:]
		if size < 4 || n > uint64(len(b))/size {
			return fmt.Errorf("section .BTF.ext: %w", errMalformed)
		}
		for i := uint64(0); i < n && m != nil; i++ {
			at := b[i*size:]
			from := o.order.Uint32(at) / slot
			if uint64(from) >= uint64(len(m.to)) {
				return fmt.Errorf("section .BTF.ext: %w", errMalformed)
			}
			o.order.PutUint32(at, uint32(m.to[from]*slot))
		}
		b = b[n*size:]
	}
	return nil
}

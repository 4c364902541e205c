package document

import "bytes"

// Description is the part of DescribeDocument's answer that the content
// decides, in the answer's form: a member that AWS leaves out is left out.
type Description struct {
	SchemaVersion string
	Description   string                 `json:",omitempty"`
	Parameters    []ParameterDescription `json:",omitzero"` // nil: left out
	PlatformTypes []string
}

// ParameterDescription is one DocumentParameter.
type ParameterDescription struct {
	Name        string
	Type        string
	Description string `json:",omitempty"`
	// DefaultValue is the default as text: a String's as it is, anything else's
	// as compact JSON ("[\"true\"]"). Nil, and left out, where there is none; a
	// default of "" is there.
	DefaultValue *string `json:",omitempty"`
}

// Describe gives what DescribeDocument says about the content. Constraints
// such as allowedValues are not part of it.
func (d *Document) Describe() Description {
	out := Description{
		SchemaVersion: d.SchemaVersion,
		Description:   d.Description,
		PlatformTypes: d.PlatformTypes(),
	}
	if d.Parameters == nil {
		return out
	}
	out.Parameters = make([]ParameterDescription, len(d.Parameters))
	for i, p := range d.Parameters {
		out.Parameters[i] = ParameterDescription{Name: p.Name, Type: string(p.Type), Description: p.Description}
		if p.fallback == nil {
			continue
		}
		value, ok := p.fallback.scalar()
		if !ok {
			var w bytes.Buffer
			p.fallback.writeJSON(&w)
			value = w.String()
		}
		out.Parameters[i].DefaultValue = &value
	}
	return out
}

package document

import (
	"regexp"
	"strconv"
)

// parameterName is what a name may be: what a reference can name. (The user
// guide allows letters and digits; the genuine agent drops others.)
var parameterName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func (p *parser) parameters(n *node) error {
	if n.kind == null {
		return nil
	}
	if n.kind != object {
		return invalid("\"parameters\" must be an object.")
	}
	p.doc.Parameters = []Parameter{}
	for _, m := range n.members {
		if p.strict && !parameterName.MatchString(m.key) {
			return invalid("Parameter name %q is invalid: use letters and digits.", clip(m.key))
		}
		param := Parameter{Name: m.key}
		if err := p.parameter(&param, m.value); err != nil {
			return err
		}
		p.doc.Parameters = append(p.doc.Parameters, param)
	}
	return nil
}

func (p *parser) parameter(param *Parameter, n *node) error {
	if n.kind != object {
		return invalid("Parameter \"%s\" must be an object.", clip(param.Name))
	}
	for _, m := range n.members {
		if m.value.kind == null {
			continue // as if it were not there; seen with "default"
		}
		if err := p.property(param, m); err != nil && p.strict {
			return err
		}
	}
	switch {
	case param.Type == "" && p.strict:
		return invalid("Missing \"type\" in parameter \"%s\". at Line: %d, Column: %d", param.Name, n.place.line, n.place.column)
	case param.Type == "":
		param.Type = TypeString
	case !param.Type.known() && p.strict:
		return invalid("Parameter type: %s is invalid. at Line: %d, Column: %d", clip(string(param.Type)), n.place.line, n.place.column)
	}
	if param.AllowedPattern != "" {
		param.pattern = newPattern(param.AllowedPattern)
	}
	return nil
}

func (p *parser) property(param *Parameter, m member) error {
	switch m.key {
	case "type":
		return p.text(param, m, (*string)(&param.Type))
	case "description":
		return p.text(param, m, &param.Description)
	case "allowedPattern":
		return p.text(param, m, &param.AllowedPattern)
	case "displayType":
		return p.text(param, m, &param.DisplayType)
	case "interpolationType":
		return p.text(param, m, &param.InterpolationType)
	case "minItems":
		return p.bound(param, m, &param.MinItems)
	case "maxItems":
		return p.bound(param, m, &param.MaxItems)
	case "minChars":
		return p.bound(param, m, &param.MinChars)
	case "maxChars":
		return p.bound(param, m, &param.MaxChars)
	case "default":
		param.Default = m.value.value()
		param.fallback = m.value
		return nil
	case "allowedValues":
		values, ok := m.value.strings()
		if !ok {
			return invalid("\"allowedValues\" of parameter \"%s\" must be a list of text.", param.Name)
		}
		param.AllowedValues = values
		return nil
	default:
		return invalid("Unknown property %q in parameter \"%s\".", clip(m.key), param.Name)
	}
}

func (p *parser) text(param *Parameter, m member, into *string) error {
	s, ok := m.value.scalar()
	if !ok {
		return invalid("\"%s\" of parameter \"%s\" must be text.", m.key, param.Name)
	}
	*into = s
	return nil
}

func (p *parser) bound(param *Parameter, m member, into **int) error {
	s, _ := m.value.scalar()
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return invalid("\"%s\" of parameter \"%s\" must be a whole number of 0 or more.", m.key, param.Name)
	}
	*into = &n
	return nil
}

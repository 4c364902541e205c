package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// parameters reads the dynamic attribute: an object or map whose values are
// lists, strings, numbers, booleans or maps. complete is false where part of it
// is not known yet. Errors name the parameter, never its value.
func parameters(ctx context.Context, d types.Dynamic) (out map[string]any, complete bool, err error) {
	if d.IsNull() || d.IsUnderlyingValueNull() {
		return nil, true, nil
	}
	if d.IsUnknown() || d.IsUnderlyingValueUnknown() {
		return nil, false, nil
	}
	v, err := d.UnderlyingValue().ToTerraformValue(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("read the parameters: %w", err)
	}
	if !v.IsFullyKnown() {
		return nil, false, nil
	}
	members := map[string]tftypes.Value{}
	if !isMap(v) || v.As(&members) != nil {
		return nil, false, fmt.Errorf("must be an object or a map, as in { commands = [\"uptime\"] }, not %s", kindOf(d.UnderlyingValue()))
	}
	out = map[string]any{}
	for name, m := range members {
		x, err := plain(m)
		if err != nil {
			return nil, false, fmt.Errorf("parameter %q: %w", name, err)
		}
		if x != nil {
			out[name] = x
		}
	}
	return out, true, nil
}

func kindOf(v attr.Value) string {
	switch v.(type) {
	case types.String:
		return "a string"
	case types.Number:
		return "a number"
	case types.Bool:
		return "true or false"
	default:
		return "a list"
	}
}

func isMap(v tftypes.Value) bool {
	return v.Type().Is(tftypes.Object{}) || v.Type().Is(tftypes.Map{})
}

// plain turns a value of Terraform into one of Go: string, bool, json.Number,
// []any, map[string]any, or nil for null.
func plain(v tftypes.Value) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	t := v.Type()
	switch {
	case t.Is(tftypes.String):
		var s string
		err := v.As(&s)
		return s, err
	case t.Is(tftypes.Bool):
		var b bool
		err := v.As(&b)
		return b, err
	case t.Is(tftypes.Number):
		var n big.Float
		if err := v.As(&n); err != nil {
			return nil, err
		}
		if n.IsInt() {
			// 'g' would make 1e+06 of a million.
			return json.Number(n.Text('f', 0)), nil
		}
		return json.Number(n.Text('g', -1)), nil
	case isMap(v):
		members := map[string]tftypes.Value{}
		if err := v.As(&members); err != nil {
			return nil, err
		}
		out := map[string]any{}
		for k, m := range members {
			x, err := plain(m)
			if err != nil {
				return nil, err
			}
			if x != nil {
				out[k] = x
			}
		}
		return out, nil
	case t.Is(tftypes.List{}), t.Is(tftypes.Tuple{}), t.Is(tftypes.Set{}):
		var items []tftypes.Value
		if err := v.As(&items); err != nil {
			return nil, err
		}
		out := []any{}
		for _, i := range items {
			x, err := plain(i)
			if err != nil {
				return nil, err
			}
			if x != nil {
				out = append(out, x)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("a value of this kind cannot be sent")
}

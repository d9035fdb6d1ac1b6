#pragma once
// The goldens' inputs on the pretend device. Header only.
#include "device/pretend_device.h"
#include "flux_inputs.h"

namespace icedit::pretend {

inline golden::FluxInputs placed(golden::FluxInputs in) {
  Conditioning& c = in.conditioning;
  for (Tensor* t : {&in.x, &in.t, &in.guidance, &c.condition, &c.prompt_embeds,
                    &c.pooled_prompt_embeds, &c.image_ids, &c.text_ids})
    if (t->defined()) *t = t->to(device());
  return in;
}

}  // namespace icedit::pretend

"""The tiny models that stand for every family in these tests: name -> (class, its config, fields that the hub spells otherwise).

Shapes are small and unlike each other (odd heads, groups, kernels, dense layers between sparse ones), so that a mix-up of
two sizes cannot pass."""
import transformers as hf

BASE = dict(vocab_size=267, hidden_size=32, pad_token_id=0, bos_token_id=1, eos_token_id=2)
TEXT = dict(BASE, max_position_embeddings=512)
HEADS = dict(num_attention_heads=4, num_key_value_heads=2)
LINEAR, FULL = "linear_attention", "full_attention"


def nemotron(pattern, **more):
    shape = dict(TEXT, **HEADS, head_dim=12, mamba_num_heads=6, mamba_head_dim=8, n_groups=2, ssm_state_size=12, conv_kernel=4,
                 chunk_size=16, layer_norm_epsilon=1e-5, intermediate_size=28, time_step_min=1e-5, tie_word_embeddings=False)
    shape.update(more)
    return (hf.NemotronHForCausalLM, hf.NemotronHConfig(hybrid_override_pattern=pattern, **shape),
            dict(hybrid_override_pattern=pattern, num_hidden_layers=len(pattern)))


def experts(**more):
    return dict(n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, moe_intermediate_size=12,
                moe_shared_expert_intermediate_size=14, routed_scaling_factor=1.7, norm_topk_prob=True, **more)


DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=8, linear_value_head_dim=12,
             linear_conv_kernel_dim=4)
QWEN = dict(TEXT, **DELTA, **HEADS, head_dim=16, rms_norm_eps=1e-6, num_hidden_layers=3, layer_types=[LINEAR, FULL, LINEAR])
QWEN_MOE = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, shared_expert_intermediate_size=14)
ROPE = dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25, mrope_section=[1, 1, 0], mrope_interleaved=True)
GRANITE = dict(TEXT, mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=8, mamba_d_conv=4, mamba_expand=2,
               mamba_chunk_size=16, rms_norm_eps=1e-5)


def models():
    m = {}
    m["granite_moe"] = (hf.GraniteMoeHybridForCausalLM, hf.GraniteMoeHybridConfig(
        **GRANITE, **HEADS, layer_types=[LINEAR, FULL, LINEAR], num_hidden_layers=3, attention_multiplier=0.3,
        position_embedding_type="nope", num_local_experts=4, num_experts_per_tok=2, intermediate_size=12,
        shared_intermediate_size=20, embedding_multiplier=3.0, residual_multiplier=0.6, logits_scaling=0.5,
        tie_word_embeddings=True), dict(layer_types=["mamba", "attention", "mamba"]))
    m["granite_rope"] = (hf.GraniteMoeHybridForCausalLM, hf.GraniteMoeHybridConfig(
        **dict(GRANITE, hidden_size=24, mamba_n_heads=6, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=12, mamba_d_conv=3),
        num_attention_heads=3, num_key_value_heads=3, layer_types=[FULL, LINEAR, LINEAR, FULL], num_hidden_layers=4,
        attention_bias=True, attention_multiplier=0.4, position_embedding_type="rope", mamba_conv_bias=False,
        mamba_proj_bias=True, num_local_experts=0, num_experts_per_tok=0, intermediate_size=16, shared_intermediate_size=28,
        embedding_multiplier=1.4, residual_multiplier=0.9, logits_scaling=0.8, tie_word_embeddings=False), {})
    m["nemotron_h"] = nemotron("M-*M-", use_bias=True, mamba_proj_bias=True, use_conv_bias=False)
    m["nemotron_moe"] = nemotron("ME*E", **experts())
    m["nemotron_latent_moe"] = nemotron("*EME", **experts(moe_latent_size=20, n_group=2, topk_group=1))
    m["bamba"] = (hf.BambaForCausalLM, hf.BambaConfig(
        **TEXT, **HEADS, num_hidden_layers=3, attn_layer_indices=[1], intermediate_size=24, mamba_n_heads=4, mamba_d_head=16,
        mamba_n_groups=1, mamba_d_state=12, mamba_chunk_size=16, tie_word_embeddings=False), {})
    m["jamba"] = (hf.JambaForCausalLM, hf.JambaConfig(
        **TEXT, **HEADS, num_hidden_layers=4, intermediate_size=20, attn_layer_period=4, attn_layer_offset=2,
        expert_layer_period=2, expert_layer_offset=1, num_experts=3, num_experts_per_tok=2, mamba_d_state=6, mamba_d_conv=4,
        mamba_expand=2, mamba_dt_rank=5, use_associative_scan=False, use_mamba_kernels=False), {})
    m["qwen3_next"] = (hf.Qwen3NextForCausalLM, hf.Qwen3NextConfig(
        **QWEN, **QWEN_MOE, intermediate_size=20, norm_topk_prob=True, mlp_only_layers=[1], partial_rotary_factor=0.25,
        rope_theta=10000.0), {})
    m["qwen3_5"] = (hf.Qwen3_5ForCausalLM, hf.Qwen3_5TextConfig(
        **QWEN, intermediate_size=20, rope_parameters=ROPE, tie_word_embeddings=True), {})
    m["qwen3_5_moe"] = (hf.Qwen3_5MoeForConditionalGeneration, hf.Qwen3_5MoeConfig(
        text_config=dict(QWEN, **QWEN_MOE, rope_parameters=ROPE), vision_config=dict(
            depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=32, patch_size=2,
            num_position_embeddings=4), image_token_id=5, video_token_id=6, vision_start_token_id=7,
        vision_end_token_id=8), {})
    m["falcon_h1"] = (hf.FalconH1ForCausalLM, hf.FalconH1Config(
        **TEXT, **HEADS, num_hidden_layers=2, head_dim=8, intermediate_size=20, mamba_d_ssm=48, mamba_n_heads=6, mamba_d_head=8,
        mamba_n_groups=2, mamba_d_state=12, mamba_chunk_size=16, mamba_rms_norm=True, mamba_norm_before_gate=True,
        projectors_bias=True, ssm_multipliers=[0.7, 0.8, 1.3, 0.9, 1.2], mlp_multipliers=[0.8, 1.2], key_multiplier=0.6,
        attention_in_multiplier=0.9, attention_out_multiplier=0.7, ssm_in_multiplier=1.2, ssm_out_multiplier=0.8,
        embedding_multiplier=2.0, lm_head_multiplier=1.4), {})
    m["lfm2"] = (hf.Lfm2ForCausalLM, hf.Lfm2Config(
        **TEXT, **HEADS, num_hidden_layers=3, intermediate_size=24, block_auto_adjust_ff_dim=True, block_multiple_of=20,
        conv_L_cache=3, conv_bias=True, layer_types=["conv", FULL, "conv"]), {})
    m["lfm2_moe"] = (hf.Lfm2MoeForCausalLM, hf.Lfm2MoeConfig(
        **TEXT, **HEADS, num_hidden_layers=3, intermediate_size=24, moe_intermediate_size=12, num_experts=4,
        num_experts_per_tok=2, num_dense_layers=1, routed_scaling_factor=1.5, conv_L_cache=3, norm_topk_prob=True,
        layer_types=["conv", FULL, "conv"]), {})
    m["mamba"] = (hf.MambaForCausalLM, hf.MambaConfig(
        **BASE, num_hidden_layers=3, state_size=6, expand=2, conv_kernel=4, time_step_rank=3, use_associative_scan=False), {})
    m["mamba2"] = (hf.Mamba2ForCausalLM, hf.Mamba2Config(
        **BASE, num_hidden_layers=2, num_heads=8, head_dim=8, state_size=12, n_groups=2, chunk_size=16, expand=2, conv_kernel=4,
        tie_word_embeddings=False), {})
    m["kimi_linear"] = (hf.KimiLinearForCausalLM, hf.KimiLinearConfig(
        **TEXT, num_attention_heads=3, num_key_value_heads=3, num_hidden_layers=3, layer_types=[LINEAR, FULL, LINEAR],
        intermediate_size=20, moe_intermediate_size=12, num_local_experts=4, num_experts_per_tok=2, n_shared_experts=2,
        n_group=1, topk_group=1, routed_scaling_factor=1.5, kv_lora_rank=14, qk_rope_head_dim=6, qk_nope_head_dim=10,
        v_head_dim=12, linear_head_dim=12, linear_num_heads=3, linear_conv_kernel_dim=4), {})
    m["zamba2"] = (hf.Zamba2ForCausalLM, hf.Zamba2Config(
        **TEXT, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, intermediate_size=20, n_mamba_heads=8,
        mamba_d_state=12, mamba_ngroups=2, mamba_expand=2, chunk_size=16, num_mem_blocks=1, use_shared_attention_adapter=True,
        adapter_rank=5, use_mem_rope=True, rope_theta=10000.0, time_step_min=1e-5,
        layers_block_type=[LINEAR, "hybrid", "hybrid"]), {})
    m["olmo_hybrid"] = (hf.OlmoHybridForCausalLM, hf.OlmoHybridConfig(
        **dict(TEXT, **DELTA), **HEADS, num_hidden_layers=3, layer_types=[LINEAR, FULL, LINEAR], intermediate_size=24,
        linear_allow_neg_eigval=True), {})
    m["llama"] = (hf.LlamaForCausalLM, hf.LlamaConfig(
        **TEXT, **HEADS, num_hidden_layers=2, intermediate_size=24, rope_parameters=dict(
            rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64)), {})
    m["mixtral"] = (hf.MixtralForCausalLM, hf.MixtralConfig(
        **TEXT, **HEADS, num_hidden_layers=2, intermediate_size=16, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=None), {})
    return m

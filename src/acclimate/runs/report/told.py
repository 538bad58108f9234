"""Sentences that a run wrote in English, in Chinese. What has a form that is not known here stays as it is."""

from __future__ import annotations

import re

FORMS: tuple[tuple[str, str], ...] = (
    # explanations
    (r"the model adapts to each row before it answers; it is explained as it is before that",
     "模型在回答每一行之前会先适应该行；这里解释的是适应之前的模型"),
    (r"the first (\d+) of (\d+) rows are explained; --limit and --rows choose others",
     "只解释了 {1} 行中的前 {0} 行；可用 --limit 和 --rows 选择其他行"),
    (r"(\d+) of (\d+) rows have fewer than two parts: nothing can be told of an order of them",
     "{1} 行中有 {0} 行的部分少于两个：无法判断其顺序"),
    # the decision
    (r"(.+) is not shown to beat a constant answer on the (.+): (\S+) (.+) against (\S+)",
     "没有证据表明 {0} 在{1}上优于恒定预测：{2} 为 {3}，恒定预测为 {4}"),
    (r"(.+) is worse than a constant answer on the labelled target rows: (\S+) (.+) against (\S+)",
     "在有标签的目标域行上，{0} 不如恒定预测：{1} 为 {2}，恒定预测为 {3}"),
    (r"(.+) collapses on the target: (.+)", "{0} 在目标域上的预测塌缩了：{1}"),
    (r"nothing was adapted: the method is the source model", "没有做任何适应：所用方法就是源模型"),
    (r"there is no source model to compare with", "没有可供比较的源模型"),
    (r"(.+) lost a class: (.+)", "{0} 丢失了一个类别：{1}"),
    (r"the target labels that were permitted decide, on rows that no arm was trained on",
     "由获准使用的目标域标签决定，所用的行没有参与任何模型的训练"),
    (r"the target labels that were permitted decide \(they weighed the average too, which flatters it\)",
     "由获准使用的目标域标签决定（平均时的权重也由它们得出，因此数字偏乐观）"),
    (r"no source model answers with the target's labels", "没有源模型能给出目标域的标签"),
    (r"on the target (\S+) is better than (\S+): (\S+) (\S+) against (\S+)",
     "在目标域上 {0} 优于 {1}：{2} 分别为 {3} 和 {4}"),
    (r"on the target (\S+) is no better than (\S+): (\S+) (\S+) against (\S+)",
     "在目标域上 {0} 并不优于 {1}：{2} 分别为 {3} 和 {4}"),
    (r"(.+): too few to overrule that", "{0}：行数太少，不足以推翻上述决定"),
    (r"on the labelled target rows (\S+) of (\S+) minus (\S+) is (\S+)(?: \(95 % interval (\S+) to (\S+)\))?",
     "在有标签的目标域行上，{1} 与 {2} 的 {0} 之差为 {3}（95% 区间 {4} 至 {5}）"),
    (r"(.+) forgot the source: (\S+) (\S+) on its validation rows, (.+) (\S+); the rows are too few for an interval",
     "{0} 遗忘了源域：在源域验证行上 {1} 为 {2}，而 {3} 为 {4}；行数太少，给不出区间"),
    (r"(.+) forgot the source: (\S+) (\S+) on its validation rows, (.+) (\S+)",
     "{0} 遗忘了源域：在源域验证行上 {1} 为 {2}，而 {3} 为 {4}"),
    (r"(.+) and (.+) answer alike on every row", "{0} 与 {1} 在每一行上的预测都相同"),
    (r"the other arms side with (.+)", "其他模型支持 {0}"),
    (r"the other arms do not side with (.+)", "其他模型不支持 {0}"),
    (r"on the (\d+) rows where the two differ, (\S+) of the answers of (\d+) other arms are those of (.+), (\S+) those "
     r"of (.+)", "在两者预测不同的 {0} 行上，其他 {2} 个模型的预测有 {1} 与 {3} 相同，{4} 与 {5} 相同"),
    (r"(.+) wins more label-free scores than it loses", "在无需标签的评分上，{0} 赢多输少"),
    (r"(.+) wins no more label-free scores than it loses", "在无需标签的评分上，{0} 并非赢多输少"),
    (r"InfoMax: (.+)", "InfoMax：{0}"),
    (r"agreement with the mean of all arms: (.+)", "与全部模型平均预测的一致度：{0}"),
    (r"average thresholded confidence: (.+)", "阈值平均置信度（ATC）：{0}"),
    (r"fit to the stated class shares: (.+)", "与给定类别占比的吻合度：{0}"),
    (r"nothing tells the two apart without labels of the target", "没有目标域标签，无法区分这两个模型"),
    (
        r"without labels nothing ranks answers that are no classes: the source's model is kept; evaluate shows every "
        r"candidate on labelled rows",
        "没有标签时，非类别的答案无从排序：保留源模型；用带标签的行评估时会列出所有候选",
    ),
    (r"on the worst of the sources (.+) has (\S+), (.+) (\S+); there is no target",
     "在最差的源域上，{0} 为 {1}，{2} 为 {3}；没有目标域"),
    (r"the plain baseline (\S+) is better on the (.+): (\S+) (\S+), (.+) (\S+); its model is in (\S+)",
     "简单基线 {0} 在{1}上更好：{2} 为 {3}，而 {4} 为 {5}；它的模型在 {6}"),
    (r"the plain baseline (\S+) is as good on the (.+): (\S+) (\S+), (.+) (\S+), and wins label-free scores \((.+)\); "
     r"its model is in (\S+)",
     "简单基线 {0} 在{1}上同样好（{2} 为 {3}，{4} 为 {5}），并在无需标签的评分上占优（{6}）；它的模型在 {7}"),
    (r"the labels of the target rows to judge by are all the same: they decide nothing",
     "用来判断的目标域行标签全都相同，无法据此决定"),
    (r"(\d+) target rows are too few to tell by; at least (\d+) are needed",
     "目标域只有 {0} 行，太少，无法判断；至少需要 {1} 行"),
    (r"source and target share no column: without target labels nothing tells which class is which",
     "源域与目标域没有共同的列：没有目标域标签，就无从知道哪个类别对应哪个"),
    (r"arm '(.+)' is left out: (.+)", "模型 {0} 未参与：{1}"),
    # collapse and shares
    (r"the shares of its answers have an entropy of (\S+) nats, those of the source (\S+)",
     "其预测的类别占比的熵为 {0} 纳特，源域为 {1}"),
    (r"class '(.+)' has (\S+) of the source and (\S+) of the answers", "类别“{0}”占源域的 {1}，只占预测的 {2}"),
    (r"the answers have a standard deviation of (\S+), the source's labels (\S+)",
     "预测的标准差为 {0}，源域标签的标准差为 {1}"),
    (r"(\S+) of the answers are far outside the source's range (\S+) to (\S+)",
     "{0} 的预测远在源域范围 {1} 至 {2} 之外"),
    (r"the two estimates differ by (\S+), more than chance does \((\S+)\)",
     "两种估计相差 {0}，超出偶然的范围（{1}）"),
    (r"an interval is (\S+) wide", "有一个区间宽达 {0}"),
    (r"the answers are no mixture of those that the source's classes get: more than shares changed",
     "目标域的预测不是源域各类别预测的混合：变化的不只是类别占比"),
    (r"the shift looks like covariate: estimates are of shares under label shift alone",
     "看起来是协变量偏移：这些估计只在仅有标签偏移时成立"),
    (r"the shift looks like concept: estimates are of shares under label shift alone",
     "看起来是概念偏移：这些估计只在仅有标签偏移时成立"),
    (r"the shift looks like new_classes: estimates are of shares under label shift alone",
     "看起来目标域有新的类别：这些估计只在仅有标签偏移时成立"),
    # training
    (r"the discriminator is always right \((\S+), since step (\d+)\): its gradient vanishes and nothing is aligned; "
     r"try (.+)", "判别器总能判对（{0}，从第 {1} 步起）：它的梯度消失，没有任何对齐；可以试试 {2}"),
    (r"the answers on the target have collapsed: '(.+)' is (\S+) of them, since step (\d+), and (\S+) of .+; try a "
     r"smaller (.+), or say with (\S+) if the target is like that",
     "目标域上的预测塌缩了：从第 {2} 步起“{0}”占预测的 {1}，而在源域只占 {3}；可以调小 {4}，如果目标域确实如此，请用 {5} 说明"),
    (r"the source is being forgotten: (\S+) of held-out source rows are right, (\S+) were at step (\d+); try a smaller "
     r"(.+), or (\S+)", "源域正在被遗忘：留出的源域行现在对了 {0}，第 {2} 步时为 {1}；可以调小 {3}，或使用 {4}"),
    # data
    (r"task: (\S+), found from the labels", "任务：{0}，由标签判断得出"),
    (r"modality (\w+): (.+)", "数据类型 {0}：{1}"),
    (r"target labels: (\d+) of (\d+) rows have one", "目标域标签：{1} 行中有 {0} 行带标签"),
    (r"whole numbers 0 to 255, (\S+) an image", "0 至 255 的整数，每幅图像 {0}"),
    (r"numbers, (\d+) a row", "数字，每行 {0} 个"),
    (r"(\d+) (\w+) files", "{0} 个 {1} 文件"),
    (r"sensitive, and no input: (.+)", "敏感列，不作为输入：{0}"),
    (r"sensitive, and an input as you named it: (.+)", "敏感列，按你的指定也作为输入：{0}"),
    # certainty
    (r"(\d+) held-out labelled rows of the target itself", "依据目标域自身的 {0} 个留出的有标注样本"),
    (r"there is no target to test against: holds for rows like the source's", "没有可供检验的目标域：只对与源域相似的样本成立"),
    (r"no classifier tells the target from held-out source rows \(p (\S+)\)",
     "没有分类器能把目标域与留出的源域样本区分开（p = {0}）"),
    (r"no classifier tells the target from held-out source rows \(p (\S+)\), but the method brings the two together: "
     r"that shows nothing of the answers",
     "没有分类器能把目标域与留出的源域样本区分开（p = {0}），但该方法本身就使两者靠近：这说明不了答案的好坏"),
    (r"source and target differ \(AUC (\S+), p (\S+)\), and the method brings the two together: that shows nothing of "
     r"the answers",
     "源域与目标域有差别（AUC {0}，p = {1}），而该方法本身就使两者靠近：这说明不了答案的好坏"),
    (r"(\d+) held-out labelled rows are too few, (\d+) are needed", "留出的有标注样本只有 {0} 个，太少，至少需要 {1} 个"),
    (r"source and target differ \(AUC (\S+), p (\S+)\); (\d+) held-out rows, weighted towards the target, are worth (\d+)",
     "源域与目标域有差别（AUC {0}，p = {1}）；{2} 个留出样本按目标域加权后，相当于 {3} 个"),
    (r"source and target differ \(AUC (\S+), p (\S+)\): weighted towards the target, (\d+) held-out rows are worth (\d+)",
     "源域与目标域有差别（AUC {0}，p = {1}）：{2} 个留出样本按目标域加权后，只相当于 {3} 个"),
    (r"source and target differ \(AUC (\S+), p (\S+)\) and hardly overlap: held-out rows weigh (\S+) on average, in the "
     r"place of 1", "源域与目标域有差别（AUC {0}，p = {1}），几乎不重叠：留出样本的平均权重为 {2}，而应为 1"),
    (r"source and target differ \(AUC (\S+), p (\S+)\): (\S+) of the target's rows are like no held-out row",
     "源域与目标域有差别（AUC {0}，p = {1}）：目标域有 {2} 的样本与任何留出样本都不相似"),
    # shifts
    (r"distance (\S+), median (\S+) in the source and (\S+) in the target(?:; (.+))?",
     "距离 {0}，中位数在源域为 {1}，在目标域为 {2}"),
    (r"distance (\S+), '(.+)' is (\S+) of the source and (\S+) of the target(?:; (.+))?",
     "距离 {0}，“{1}”占源域的 {2}，占目标域的 {3}"),
    (r"in (\S+) of source and (\S+) of target texts", "出现在 {0} 的源域文本和 {1} 的目标域文本中"),
    (r"missing in (\S+) of source and (\S+) of target rows(?:; (.+))?", "源域 {0}、目标域 {1} 的行缺失此项"),
    (r"word '(.+)'", "词“{0}”"),
)  # fmt: skip
"""What sentences look like, and what they are in Chinese; the first that fits is taken."""
PARTS = {
    "source's validation rows": "源域验证行",
    "target's validation rows": "目标域验证行",
    "source's validation rows without the columns that the target lacks": "去掉目标域所缺列之后的源域验证行",
}


def in_chinese(sentence: str) -> str | None:
    """The sentence in Chinese; None if its form is not known here, or something would be lost."""
    for form, said in FORMS:
        found = re.fullmatch(form, sentence)
        if found is None:
            continue
        parts = [_part(part) for part in found.groups()]
        used = {int(number) for number in re.findall(r"\{(\d)\}", said)}
        if any(part is None and k in used for k, part in enumerate(parts)):
            return None
        rest = [str(part) for k, part in enumerate(parts) if part is not None and k not in used]
        return "；".join([said.format(*parts), *rest])
    return None


def _part(part: str | None) -> str | None:
    """What stands within a sentence: itself a sentence, a place, or a name that stays."""
    if part is None:
        return None
    named = PARTS.get(part) or in_chinese(part)
    return named or re.sub(r" ?\(95 % interval (\S+) to (\S+)\)", r"（95% 区间 \1 至 \2）", part)
